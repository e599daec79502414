"""Tiles behind HTTP: each chunk is fetched and decoded once, however many patches need it."""
