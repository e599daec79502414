"""Other models over the images of the same patches; `base` holds the contract of a model.

`images` reads the patches' files, an adapter a file opens models by name, and `embed` runs one
over all patches and writes a table of vectors.
"""
