"""Labelled, georeferenced patches to versioned AlphaEarth embedding data sets."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

__all__ = ["__version__", "dequantize", "load"]
__version__ = version("hfaef")

if TYPE_CHECKING:
    from hfaef.core.quantize import dequantize
    from hfaef.load import load
else:
    from hfaef import load  # the module, which can be called: see its end

    def __getattr__(name: str) -> Any:
        """`dequantize`, imported when it is used: `hfaef --help` needs no numpy."""
        if name == "dequantize":
            from hfaef.core.quantize import dequantize

            return dequantize
        raise AttributeError(f"module 'hfaef' has no attribute {name!r}")
