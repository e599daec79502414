"""A release becomes an immutable version on the Hub, and is read from there."""
