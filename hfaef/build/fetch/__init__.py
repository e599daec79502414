"""From a source into staging: what is read when, how much at once, what is tried again."""
