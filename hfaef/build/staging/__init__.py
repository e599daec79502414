"""Pixels and outcomes between fetching and packing."""
