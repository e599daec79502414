"""The embedding from AEF's own tiles (COGs), in a folder or behind HTTP."""
