"""A release in the words of catalogues: STAC, its extension for embeddings, and the data card."""
