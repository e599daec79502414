"""What the values of a release are, in the words of STAC's extension for embeddings.

https://github.com/geo-embeddings/embeddings-stac-specification, pinned to one version. Its keys
begin with ``emb:``; those that it has no word for begin with ``hfaef:``.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from hfaef.core.quantize import BAND_NAMES, BANDS, OFFSET, SCALE, STORED_NODATA
from hfaef.core.sheet import TILES

VERSION: Literal["0.0.1"] = "0.0.1"

EXTENSION = f"https://stac-extensions.github.io/embeddings/v{VERSION}/schema.json"
"""Name of the extension in ``stac_extensions``, and address of its JSON schema."""

STAC_VERSION = "1.0.0"
"""The one that the extension for embeddings builds on."""

SPACING = 10
"""Metres between AlphaEarth's pixels."""

TEMPORAL_RESOLUTION = "annual"

METHOD = "signed square root"

FORMULA = f"q = value - {OFFSET}; x = sign(q) * (q / {SCALE}) ** 2; {STORED_NODATA} is no data"
"""From a stored value to a float."""

QUANTIZATION: dict[str, Any] = {
    "method": METHOD,
    "original_dtype": "float32",
    "quantized_dtype": "uint8",
    # No `scale` and `offset`: they would be read as those of a straight line.
    "link": {
        "rel": "about",
        "href": "https://developers.google.com/earth-engine/guides/aef_on_gcs_readme",
        "type": "text/html",
        "title": "How AlphaEarth's embeddings are quantized",
    },
}
"""The extension's Quantization Object."""

_PNG = {
    "encoding": "png",
    "tiles": [TILES, TILES],
    "order": "tile n of the grey picture, row by row, is band n; all tiles are of one size",
}
_RAW = {
    "encoding": "raw",
    "order": "band after band, row after row; columns `height` and `width` tell their size",
}


def describe_values(kind: str, codec: str) -> dict[str, Any]:
    """What the numbers in a kind of rows are.

    Args:
        kind: ``data`` or ``pooled``.
        codec: ``png`` or ``raw``, in which `embedding` of ``data`` is.
    """
    common = {
        "version": VERSION,
        "schema": EXTENSION,
        "emb:type": "pixel" if kind == "data" else "chip",
        "emb:dimensions": BANDS,
        "data_type": "uint8" if kind == "data" else "float32",
        "gsd": SPACING,
        "emb:temporal_resolution": TEMPORAL_RESOLUTION,
        "bands": list(BAND_NAMES),
    }
    if kind == "pooled":
        return {
            **common,
            "emb:quantization": None,
            "hfaef:columns": {
                "mean": "mean",
                "std": "population standard deviation",
                "min": "least",
                "max": "greatest",
            },
            "hfaef:of": "dequantized values of each band over the pixels with data",
        }
    return {
        **common,
        "nodata": STORED_NODATA,
        "emb:quantization": QUANTIZATION,
        "hfaef:dequantization": {"formula": FORMULA, "zero": OFFSET, "one": SCALE, "power": 2},
        "hfaef:columns": {"embedding": _RAW if codec == "raw" else _PNG},
    }


def values_metadata(kind: str, codec: str) -> dict[bytes, bytes]:
    """`describe_values` as metadata of a Parquet file: JSON under the key ``emb``."""
    text = json.dumps(describe_values(kind, codec), separators=(",", ":"))
    return {b"emb": text.encode()}
