"""Keys of the card's YAML in which catalogues of embeddings find what a release is.

Those of https://geoembeddings.org/data-card, in its order and with its choices of values.
"""

from __future__ import annotations

from typing import Any

from hfaef.core.quantize import BANDS
from hfaef.release.card.references import read_references
from hfaef.release.format.manifest import Manifest
from hfaef.release.stac.extension import FORMULA, SPACING

DESCRIPTION = "AlphaEarth Foundations embeddings of labelled, georeferenced patches."
"""Of a release whose recipe has none."""

_OWN_SPACE = "spatial context determined by embedding spatial type"
_MORE_SPACE = "spatial context beyond embedding spatial type"
_OWN_TIME = "temporal context determined by embedding spatial type"
_MORE_TIME = "spatial context beyond embedding temporal type"
"""The template's own words, slips included: who looks for them looks for these."""


def embedding_keys(manifest: Manifest) -> dict[str, Any]:
    """The keys that say what the embeddings of a release are, from its manifest alone.

    `creator` is the owner of its repository, so a release has none before it is published.
    """
    (model,) = read_references().of(manifest).models
    creator = {"creator": manifest.repo.partition("/")[0]} if manifest.repo else {}
    return {
        **creator,
        "embedding_spatial_types": ["pixel", "patch"],
        "embedding_temporal_type": ["multi-date"],
        "embedding_spatial_context": _MORE_SPACE if model.spatial_context else _OWN_SPACE,
        "embedding_temporal_context": _MORE_TIME if model.temporal_context else _OWN_TIME,
        "embedding_dimension": BANDS,
        "grid_spacing": [f"{SPACING}, {SPACING}"],
        "inference_datasets": list(model.inputs),
        "model_name": model.name,
        "model_link": model.url,
        "postprocessing": "pixels are sampled on each patch's own grid, the nearest of the model's",
        "quantization": f"uint8: {FORMULA}",
    }
