"""Plots of matplotlib as small PNGs: their `style`, and each kind that several figures do not share."""
