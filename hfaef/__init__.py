"""Labelled, georeferenced patches to versioned AlphaEarth embedding data sets."""

from typing import TYPE_CHECKING, Any

__all__ = ["__version__", "dequantize", "load"]

if TYPE_CHECKING:
    from hfaef.core.quantize import dequantize
    from hfaef.load import load

    __version__: str
else:
    from hfaef import load  # the module, which can be called: see its end

    def __getattr__(name: str) -> Any:
        """What `hfaef --help` does not need is found when it is used."""
        if name == "dequantize":
            from hfaef.core.quantize import dequantize

            return dequantize
        if name == "__version__":
            from importlib.metadata import version

            return version("hfaef")
        raise AttributeError(f"module 'hfaef' has no attribute {name!r}")
