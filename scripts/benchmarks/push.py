"""What a second release costs to send: ours beside `Dataset.push_to_hub`'s files, in one run.

    uv run --all-extras --group dev scripts/benchmarks/push.py

The real hf_xet cuts, compares and compresses; its store is a folder instead of the Hub. Only files
that differ from all of the first release are given to it, as a push does. Needs the real AEF
rasters that the tests use too (HFAEF_SHARED names their folder).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from pack import wide_patches
from units import as_units

from hfaef.build.pack.rows import pack
from hfaef.build.staging.ledger import Outcome
from hfaef.build.staging.store import Store
from hfaef.catalog.patch import Catalog, Patch, sort_patches
from hfaef.core.grid import Grid
from hfaef.core.workers import core_count, ordered_map
from hfaef.release.format.manifest import Manifest
from hfaef.release.format.paths import STAC
from hfaef.release.handle import Release
from hfaef.release.locate import RowPlacement, read_placement
from hfaef.release.stac.files import stac_files
from hfaef.sources.base import Pixels

SIZE = 64
LABELS = tuple(f"class-{number}" for number in range(10))
SPLITS = {"train": 0.6, "validation": 0.2, "test": 0.2}

SEND = """
import json, sys
import hf_xet
store, *paths = sys.argv[1:]
session = hf_xet.XetSession()
sent = {}
for path in paths:
    commit = session.new_upload_commit(endpoint=f"local://{store}")
    commit.start_upload_file(path, sha256=hf_xet.COMPUTE_SHA256)
    sent[path] = commit.wait_to_finish().dedup_metrics.total_bytes_uploaded
print(json.dumps(sent))
"""


@dataclass(frozen=True)
class Change:
    """What a second release does, and the share of its bytes that may be sent."""

    name: str
    target: float
    patches: tuple[Patch, ...]


def make_patches(count: int) -> list[Patch]:
    """Patches of one year, in three splits."""
    random = np.random.default_rng(1)
    places = np.random.default_rng(3).uniform((3e5, 4e6), (7e5, 6e6), (count, 2)).round(2).tolist()
    grids = [Grid("EPSG:32616", (9.97, 0.0, x, 0.0, -9.96, y), SIZE, SIZE) for x, y in places]
    splits = random.choice(list(SPLITS), size=count, p=list(SPLITS.values()))
    labels = random.choice(LABELS, size=count)
    return [
        Patch(f"p{number:05d}", grids[number], str(label), {"split": str(split)}, 2024)
        for number, (split, label) in enumerate(zip(splits, labels, strict=True))
    ]


def make_changes(patches: list[Patch], more: list[Patch]) -> list[Change]:
    """The second releases, each from the first."""
    chosen = np.random.default_rng(2).permutation(len(patches))[: len(patches) // 100]
    some = {patches[number].id for number in chosen}
    other = {label: LABELS[number - 1] for number, label in enumerate(LABELS)}
    return [
        Change(
            "relabel 1 %",
            0.003,
            tuple(replace(p, label=other[p.label]) if p.id in some else p for p in patches),
        ),
        Change("drop 1 %", 0.015, tuple(patch for patch in patches if patch.id not in some)),
        Change("append 5 %", 0.052, (*patches, *more)),
    ]


def write(
    store: Store, patches: Iterable[Patch], folder: Path, placement: RowPlacement | None
) -> RowPlacement:
    """Pack a release; gives where its rows lie."""
    folder.mkdir()
    packed = pack(
        Catalog(sort_patches(patches), LABELS, ("split",)),
        store,
        folder,
        shard_bytes=256_000_000,
        parallel_map=partial(ordered_map, threads=core_count()),
        advance=lambda _: None,
        placement=placement,
    )
    manifest = Manifest.model_construct(
        name="Benchmark",
        recipe={},
        years=(2024,),
        schemes=("split",),
        label_names=LABELS,
        files=packed.files,
        preview=packed.basis,
    )
    (folder / STAC).mkdir()
    for path, content in stac_files(folder, manifest).items():
        (folder / path).write_bytes(content)
    return read_placement(
        Release(
            folder.name,
            manifest,
            lambda path: folder / path,
            lambda path: (folder / path).open("rb"),
        )
    )


def write_plain(release: Path, folder: Path) -> None:
    """The same rows in the same order, as `Dataset.push_to_hub` writes them."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    (folder / "data").mkdir(parents=True)
    for split in SPLITS:
        paths = sorted(map(str, release.glob(f"data/{split}-*.parquet")))
        rows = Dataset.from_parquet(paths, cache_dir=str(folder / "cache"))
        rows.to_parquet(folder / f"data/{split}-00000-of-00001.parquet")
    shutil.rmtree(folder / "cache")


def digests(folder: Path) -> dict[str, Path]:
    """The data files of a release by SHA-256."""
    return {
        hashlib.sha256(path.read_bytes()).hexdigest(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".parquet", ".json")
    }


def send(store: Path, paths: Iterable[Path]) -> tuple[int, int, int]:
    """Bytes that hf_xet sends, in a process of its own, one upload a file: all, pooled, STAC."""
    command = [sys.executable, "-c", SEND, str(store), *map(str, paths)]
    environment = os.environ | {"HF_HOME": str(store.parent / "home")}
    output = subprocess.run(command, check=True, capture_output=True, env=environment).stdout
    sent = json.loads(output)
    parts = (sum(sent[path] for path in sent if f"/{part}/" in path) for part in ("pooled", STAC))
    return sum(sent.values()), *parts


def measure(store: Path, first: Path, second: Path, *, fresh: bool) -> tuple[int, int, int]:
    """Bytes that the second release sends, once the store holds the first."""
    copy = store.with_name("copy")
    shutil.copytree(store, copy)
    if fresh:
        # What the client keeps lies beside what the Hub has.
        for cache in ("shard-cache", "shard-session"):
            shutil.rmtree(copy / "xet" / cache)
    held = digests(first)
    sent = send(copy, [path for digest, path in digests(second).items() if digest not in held])
    shutil.rmtree(copy)
    return sent


def size(folder: Path) -> int:
    """Bytes of the data files of a release."""
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def print_ratios(root: Path, count: int) -> None:
    """The table."""
    extra = count // 20
    patches = make_patches(count + extra)
    codes = wide_patches(count + extra)
    with Store(root / "out") as store:
        for patch, pixels in zip(patches, codes, strict=True):
            store.pixels.write(patch, Pixels(as_units(pixels), (), resampled=False))
            store.record(Outcome(2024, patch.id, fetched=True))
        first, more = patches[:count], patches[count:]
        placement = write(store, first, root / "ours-first", None)
        write_plain(root / "ours-first", root / "plain-first")
        for way in ("ours", "plain"):
            whole = size(root / f"{way}-first")
            sent, *_ = send(root / way, digests(root / f"{way}-first").values())
            print(
                f"first release, {way}: {whole / 1e6:.1f} MB, sent {sent / whole:.1%}", flush=True
            )
        print(f"second release of {count} patches, share of its bytes that is sent")
        print(
            f"  {'':12}{'target':>8}{'ours':>9}{'fresh':>9}{'plain':>9}{'fresh':>9}{'plain/ours':>12}"
        )
        for change in make_changes(first, more):
            write(store, change.patches, root / "ours-next", placement)
            write_plain(root / "ours-next", root / "plain-next")
            shares = []
            for way in ("ours", "plain"):
                before, after = root / f"{way}-first", root / f"{way}-next"
                for fresh in (False, True):
                    sent, pooled, items = measure(root / way, before, after, fresh=fresh)
                    shares.append(sent / size(after))
                    if way == "ours":
                        vectors, stac = pooled / size(after), items / size(after)
                shutil.rmtree(after)
            cells = "".join(f"{share:9.2%}" for share in shares)
            ratio = shares[3] / shares[1]
            print(
                f"  {change.name:12}{change.target:8.1%}{cells}{ratio:11.1f}x"
                f"    pooled vectors {vectors:.2%}, stac {stac:.2%} of ours",
                flush=True,
            )


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=2000, help="of the first release")
    count = parser.parse_args().patches
    with tempfile.TemporaryDirectory() as name:
        print_ratios(Path(name), count)


if __name__ == "__main__":
    main()
