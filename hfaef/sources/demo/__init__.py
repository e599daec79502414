"""A made-up world to try hfaef on: no account, no network, and every pixel has a known value."""

from hfaef.sources.demo.world import write_world

__all__ = ["write_world"]
