"""What the atlas shows of a release: a row a patch, its place on the map and among embeddings."""
