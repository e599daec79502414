"""Labelled, georeferenced patches to versioned AlphaEarth embedding data sets."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hfaef.load import load
    from hfaef.quantize import dequantize

__all__ = ["dequantize", "load"]
__version__ = version("hfaef")


def __getattr__(name: str) -> Any:
    """The public names, imported when they are used: `hfaef --help` needs no numpy."""
    if name == "load":
        from hfaef.load import load

        return load
    if name == "dequantize":
        from hfaef.quantize import dequantize

        return dequantize
    raise AttributeError(f"module 'hfaef' has no attribute {name!r}")
