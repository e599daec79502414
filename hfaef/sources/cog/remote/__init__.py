"""Tiles behind HTTP: each chunk is fetched and decoded once, whoever needs it."""
