"""A recipe that holds what it must."""

from __future__ import annotations

MINIMAL = """
name = "trial"
years = [2018]
[patches]
kind = "geotiffs"
root = "patches"
[source]
kind = "cog"
root = "aef"
"""
