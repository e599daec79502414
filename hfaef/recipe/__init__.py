"""What the user asks for: one TOML file.

model    its keys, types and defaults
read     reading it, with changes from the command line
paths    which keys hold paths, and which folder these count from
explain  what is wrong with it, in one line
bands    bands of images by name, and their units and levels
builtin  the recipes that come with hfaef
"""
