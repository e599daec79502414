"""Labelled, georeferenced patches to versioned AlphaEarth embedding data sets."""
