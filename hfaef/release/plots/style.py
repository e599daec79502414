"""How figures look: their width and colours, and plots of matplotlib as small PNGs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 760
"""Pixels of every figure."""

GROUND, INK, FAINT = "#fbfbfa", "#1f2328", "#d5d8dc"

DPI = 100

_COLOURS_OF_PALETTE = 256


def plotted(plot: Callable[[Figure], None], height: float) -> bytes:
    """PNG of a plot of this height in inches, whatever the user's own matplotlib settings."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {
        "font.size": 9,
        "text.parse_math": False,  # a label may hold any signs, `$` too
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": GROUND,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context({**mpl.rcParamsDefault, **style}):
        # Compressed, as the maps' degrees have fixed proportions: else labels would be cut off.
        figure = Figure(
            figsize=(WIDTH / DPI, height), dpi=DPI, facecolor=GROUND, layout="compressed"
        )
        canvas = FigureCanvasAgg(figure)
        plot(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    return png(Image.fromarray(np.ascontiguousarray(pixels)))


def png(picture: Image.Image) -> bytes:
    """A small PNG: 256 colours, and nothing in it that tells when or where it was made."""
    buffer = io.BytesIO()
    palette = picture.quantize(_COLOURS_OF_PALETTE, dither=Image.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
