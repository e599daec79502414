"""Tables of patches: `files` reads them, `columns` and `geometry` their values, `attributes` rows."""
