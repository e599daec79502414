"""A finished release, whoever made it."""
