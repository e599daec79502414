#!/usr/bin/env python3
"""How long models take over images: as many as EuroSAT has, through `stats` and a ResNet-18.

    uv run --all-extras --group dev scripts/benchmarks/embed.py [--patches 27000] [--model-patches 2000]

Made-up GeoTIFFs of 64 x 64 pixels and 13 bands, laid out as EuroSAT's. The first line is all that
`hfaef embed stats` does, catalog and table included; the second is the share of the time in which a
ResNet-18 of random weights waits for images of 64 pixels.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

PATCHES = 27_000
BANDS, SIDE = 13, 64
DISTINCT = 100
LABELS = 10
TARGET_SECONDS = 90
TARGET_WAITING = 0.15


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=PATCHES, help="images for `stats`")
    parser.add_argument("--model-patches", type=int, default=2_000, help="images for ResNet-18")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "patches", max(wanted.patches, wanted.model_patches))
        seconds, busy, peak = alone(time_stats, Path(folder), wanted.patches)
        scaled = seconds * PATCHES / wanted.patches
        print(
            f"{wanted.patches:,} images through `stats`: {seconds:.1f} s, {busy:.1f} s of one core,"
        )
        print(
            f"  {peak / 1e6:,.0f} MB; {PATCHES:,} scaled: {scaled:.1f} s (target {TARGET_SECONDS} s)"
        )
        seconds, waited, peak = alone(time_resnet, Path(folder), wanted.model_patches)
        print(
            f"{wanted.model_patches:,} images through a ResNet-18: {seconds:.1f} s, {peak / 1e6:,.0f} MB,"
        )
        print(f"  {waited / seconds:.1%} of it waiting for images (target {TARGET_WAITING:.0%})")


def write_images(root: Path, count: int) -> None:
    """GeoTIFFs in folders of labels: uncompressed, pixels interleaved, four rows a strip."""
    import rasterio

    random = np.random.default_rng(0)
    contents = []
    for number in range(DISTINCT):
        path = root / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=BANDS,
            height=SIDE,
            width=SIDE,
            dtype="uint16",
            crs="EPSG:32632",
            transform=rasterio.Affine(10, 0, 600_000.5 + 640 * number, 0, -10, 5_000_000.5),
            interleave="pixel",
            blockysize=4,
        ) as dataset:
            dataset.write(random.integers(0, 5_000, (BANDS, SIDE, SIDE)).astype(np.uint16))
        contents.append(path.read_bytes())
        path.unlink()
    for number in range(count):
        path = root / f"label{number % LABELS}" / f"P{number:06}.tif"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(contents[number % DISTINCT])


def alone(
    measure: Callable[[Path, int], tuple[float, float]], folder: Path, count: int
) -> tuple[float, float, int]:
    """What `measure` gives, and the peak of its process in bytes."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        first, second = process.submit(measure, folder, count).result()
        return first, second, process.submit(peak_bytes).result()


def peak_bytes() -> int:
    """The peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def recipe(folder: Path) -> Any:
    """The images' recipe."""
    from hfaef.recipe.bands import SENTINEL2
    from hfaef.recipe.model import Recipe

    patches = {"kind": "geotiffs", "root": folder / "patches", "bands": SENTINEL2, "unit": "DN"}
    source = {"kind": "cog", "root": "aef"}
    return Recipe.model_validate(
        {"name": "images", "years": [2018], "patches": patches, "source": source}
    )


def time_stats(folder: Path, count: int) -> tuple[float, float]:
    """Seconds of a whole `hfaef embed stats`, and those of the processor."""
    from hfaef.encoders import embed_recipe

    started, begun = time.perf_counter(), time.process_time()
    done = embed_recipe(recipe(folder), "stats", folder / "stats.parquet", limit=count)
    assert (done.vectors, done.dimensions) == (count, 4 * BANDS)  # noqa: S101 - or it timed nothing
    return time.perf_counter() - started, time.process_time() - begun


def time_resnet(folder: Path, count: int) -> tuple[float, float]:
    """Seconds in which images ran through the model, and those that it waited for them."""
    import timm
    import torch

    from hfaef.catalog import open_catalog
    from hfaef.encoders.base import Encoder, Images, Needs, match
    from hfaef.encoders.embed import embed_images
    from hfaef.encoders.images import image_files
    from hfaef.recipe.bands import SENTINEL2
    from hfaef.release.format.scores import Provenance

    torch.manual_seed(0)
    model = timm.create_model("resnet18", in_chans=BANDS, num_classes=0).eval()

    def encode(batch: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(batch)).numpy()

    images = Images(SENTINEL2, "DN")
    encoder = Encoder(Needs(), Provenance(model="resnet18"), encode)
    files = image_files(open_catalog(recipe(folder)).first(count))
    channels = match(images, encoder.needs, "resnet18")
    done = embed_images(encoder, channels, images, files, folder / "resnet18.parquet")
    return done.seconds, done.waited


if __name__ == "__main__":
    main()
