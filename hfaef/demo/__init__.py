"""A made-up world to try hfaef on: no account, no network, and every pixel has a known value."""
