"""A finished release, whoever made it.

format    the contract on disk: manifest, paths, schema, rows, scores
handle    a release in a folder or on the Hub, as the others below take it
check     findings: what would fail once it is published
diff      how it differs from another (`metadata_diff`: beyond its rows); `bump` says how much that
          matters for the `version`
card      what it says of itself
locate    where its rows lie, so that the next build leaves them there
leakage   how near its splits come to each other
gis       its export: GeoTIFFs, GeoParquet, a mosaic
stac      what it says to catalogues: collection, items, what values are, keys of the card's YAML
"""
