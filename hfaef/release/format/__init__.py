"""The contract of a release on disk: manifest, paths, schema, rows."""
