"""A release for GIS programs: cloud-optimised GeoTIFFs, a table, and a mosaic over them."""
