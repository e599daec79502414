"""What a release costs to keep and to read: ours, Array3D and a folder of GeoTIFFs, in one run.

    uv run --all-extras --group dev scripts/benchmarks/load.py

Needs the real AEF raster that the tests use too (HFAEF_SHARED names its folder). Each way is
written, then read by processes of its own, so that caches and memory are not shared. Memory is
watched in runs that are not timed, as looking takes time. "asked for uint8" is the same Array3D
with ``with_format("torch", dtype=torch.uint8)``, which turns labels into uint8 as well. "decoded once"
is the release of PNG sheets with ``decoded=True``, whose first load decodes all of it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from load_world import ARRAY3D, GEOTIFFS, OURS, SIZE, write_ours, write_peers

PNG, RAW = "PNG sheets", "raw"
DECODED = "PNG sheets, decoded once"
ASKED = "asked for uint8"
WAYS = (*OURS, DECODED, ARRAY3D, GEOTIFFS)
READS = 400
"""Rows of a measurement by number."""
PASSES = 3
"""Passes and epochs, of which the fastest counts."""


class Files:
    """A folder of GeoTIFFs as a data set of PyTorch."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.tif"))

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, number: int) -> np.ndarray:
        """Stored values, uint8 (64, H, W)."""
        import rasterio

        with rasterio.open(self.paths[number]) as dataset:
            return dataset.read()

    def __getitem__(self, number: int) -> dict[str, Any]:
        import torch

        return {"embedding": torch.from_numpy(self.read(number)), "label": 0}


def open_rows(way: str, folder: Path, cache: Path, *, streaming: bool = False) -> Any:
    """The rows of a way by number or as a stream."""
    from datasets import config, load_dataset

    config.HF_DATASETS_CACHE = cache
    if way in (*OURS, DECODED):
        import hfaef

        columns, decoded = ["embedding", "label"], way == DECODED
        return hfaef.load(folder, "train", streaming=streaming, columns=columns, decoded=decoded)
    if way == ARRAY3D:
        loaded = load_dataset(str(folder), split="train", streaming=streaming, cache_dir=str(cache))
        return loaded.with_format("numpy")
    return Files(folder)


def first_load(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """Seconds until the rows are there, and what they take in the cache."""
    # The first time also imports half of SciPy, which is not what is measured.
    open_rows(way, folder, cache)
    shutil.rmtree(cache, ignore_errors=True)
    started = time.perf_counter()
    open_rows(way, folder, cache)
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    return {"first": seconds, "cache": size}


def first_pass(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """Seconds of loading and decoding all rows into the cache, and of doing so into nothing."""
    from hfaef.core import sheet
    from hfaef.core.workers import core_count

    found = {"pass": np.inf, "alone": np.inf}
    open_rows(way, folder, cache)
    for _ in range(PASSES):
        for path in cache.rglob("decoded-*"):
            path.unlink()
        started = time.perf_counter()
        open_rows(way, folder, cache)
        found["pass"] = min(found["pass"], time.perf_counter() - started)
        started = time.perf_counter()
        rows = open_rows(PNG, folder, cache).with_format(None).select_columns("embedding")

        def decode(start: int, rows: Any = rows) -> None:
            for cell in rows[start : start + 16]["embedding"]:
                sheet.decode(cell["bytes"])

        with ThreadPoolExecutor(core_count()) as pool:
            list(pool.map(decode, range(0, len(rows), 16)))
        found["alone"] = min(found["alone"], time.perf_counter() - started)
    return found


def random_rows(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """Arrays a second by number."""
    rows = open_rows(way, folder, cache)
    numbers = np.random.default_rng(1).integers(0, len(rows), READS).tolist()
    get: Callable[[int], Any] = (
        rows.read if isinstance(rows, Files) else lambda number: rows[number]["embedding"]
    )
    get(0)
    started = time.perf_counter()
    for number in numbers:
        assert np.asarray(get(number)).shape == (64, SIZE, SIZE)  # noqa: S101
    return {"random": READS / (time.perf_counter() - started)}


def stream_rows(way: str, folder: Path, cache: Path) -> dict[str, float]:
    """Arrays a second one after the other, without a cache."""
    rows = open_rows(way, folder, cache, streaming=True)
    source = map(rows.read, range(len(rows))) if isinstance(rows, Files) else iter(rows)
    next(source)
    started = time.perf_counter()
    count = sum(1 for _ in source)
    return {"stream": count / (time.perf_counter() - started)}


def torch_rows(way: str, folder: Path, cache: Path, workers: int) -> dict[str, float]:
    """Tensors a second from a shuffling loader whose workers are at work, and the bytes of one."""
    import torch

    rows = open_rows(way, folder, cache)
    if way in (*OURS, DECODED):
        from hfaef.torch import Patches

        data: Any = Patches(rows)
    else:
        data = rows.with_format("torch") if way == ARRAY3D else rows
    torch.set_num_threads(1)

    def run(data: Any) -> tuple[float, int]:
        loader = torch.utils.data.DataLoader(
            data, batch_size=32, shuffle=True, num_workers=workers, persistent_workers=True
        )
        sizes = [batch["embedding"][0].nbytes for batch in loader]
        rates = []
        for _ in range(PASSES):
            started = time.perf_counter()
            count = sum(len(batch["embedding"]) for batch in loader)
            rates.append(count / (time.perf_counter() - started))
        return max(rates), sizes[0]

    rate, size = run(data)
    found = {f"torch{workers}": rate, "tensor": size}
    if way == ARRAY3D:
        found[f"asked{workers}"], _ = run(rows.with_format("torch", dtype=torch.uint8))
    return found


MEASURES = {
    "first": first_load,
    "pass": first_pass,
    "random": random_rows,
    "stream": stream_rows,
    "torch1": lambda *place: torch_rows(*place, workers=1),
    "torch2": lambda *place: torch_rows(*place, workers=2),
}


def makes_sense(name: str, way: str) -> bool:
    """Whether a way can be measured so."""
    return {"pass": way == DECODED, "stream": way != DECODED}.get(name, True)


def anonymous(process: psutil.Process) -> int:
    """Bytes that a process holds beside files that it maps, as Linux counts them."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def measure(name: str, way: str, folder: Path, cache: Path, *, watch: bool) -> dict[str, float]:
    """One measurement in processes of their own: what it found, or their peak memory."""
    words = [sys.executable, __file__, "--measure", name, way, str(folder), str(cache)]
    process = psutil.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = {"memory": 0, "anonymous": 0}

    def look() -> None:
        while watch and process.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                # What is shared between processes, such as mapped files, counts once.
                own = sum(member.memory_full_info().uss for member in family)
                peak["memory"] = max(peak["memory"], own)
                if sys.platform == "linux":
                    peak["anonymous"] = max(peak["anonymous"], sum(map(anonymous, family)))
            except (psutil.Error, OSError):
                pass
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    output, errors = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{way}, {name}:\n{errors}")
    return peak if watch else dict(json.loads(output.splitlines()[-1]))


def measure_all(folder: Path, ways: list[str]) -> dict[str, dict[str, float]]:
    """All measurements, one way after the other in each, so that a busy minute hits all."""
    found: dict[str, dict[str, float]] = {way: {} for way in ways}
    places = {
        way: (folder / (PNG if way == DECODED else way), folder / f"cache {way}") for way in ways
    }
    for way, (release, _) in places.items():
        files = [path for path in release.rglob("*") if path.suffix != ".json"]
        # The pooled vectors are an addition of ours.
        found[way]["bytes"] = sum(
            path.stat().st_size for path in files if path.is_file() and "pooled" not in path.parts
        )
    for name in MEASURES:
        for way in ways:
            if makes_sense(name, way):
                found[way] |= measure(name, way, *places[way], watch=False)
    for name in ("first", "pass", "random", "stream", "torch2"):
        for way in ways:
            if makes_sense(name, way):
                peak = measure(name, way, *places[way], watch=True)
                found[way]["memory"] = max(found[way].get("memory", 0), peak["memory"])
                found[way][f"anonymous {name}"] = peak["anonymous"]
    return found


def table(found: dict[str, dict[str, float]], count: int) -> list[str]:
    """The Markdown table, and ratios to Array3D."""
    columns = ("MB on disk", "first load, s", "cache, MB", "random rows/s", "stream rows/s")
    columns += ("torch rows/s, 1 worker", "2 workers", "bytes a tensor", "peak memory, MB")
    lines = [f"| {count:,} patches | " + " | ".join(columns) + " |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for way, values in found.items():
        cells = [f"{values['bytes'] / 1e6:,.0f}"]
        cells += [f"{values['first']:.1f}", f"{values['cache'] / 1e6:,.0f}"]
        rates = (values.get(key) for key in ("random", "stream", "torch1", "torch2"))
        cells += [f"{rate:,.0f}" if rate else "" for rate in rates]
        cells += [f"{values['tensor']:,.0f}", f"{values['memory'] / 1e6:,.0f}"]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
        if way == ARRAY3D:
            rates = [f"{values[key]:,.0f}" for key in ("asked1", "asked2")]
            cells = [*[""] * 5, *rates, f"{64 * SIZE**2:,}", ""]
            lines.append(f"| the same, {ASKED} | " + " | ".join(cells) + " |")
    return lines


def ratios(found: dict[str, dict[str, float]]) -> list[str]:
    """Ours beside Array3D, with what is to be reached."""
    base = found[ARRAY3D]
    lines = []
    for way in OURS:
        values = found.get(way)
        if values is None:
            continue
        speed = {PNG: "1", RAW: "5"}.get(way)
        goals = {
            "bytes": "at most 0.45" if way == PNG else "",
            "first": "at most 0.2" if way == PNG else "",
            "torch1": f"at least {speed}" if speed else "",
            "torch2": f"at least {speed}" if speed else "",
        }
        parts = [
            f"{key} {values[key] / base[key]:.2f}" + (f" (target {goal})" if goal else "")
            for key, goal in goals.items()
        ]
        lines.append(f"{way} / {ARRAY3D}: " + ", ".join(parts))
    return lines


def decoded_ratios(found: dict[str, dict[str, float]]) -> list[str]:
    """What is decoded once beside raw bytes and Array3D, with what is to be reached."""
    values, lines = found[DECODED], []
    others = {RAW: ("torch", "at least 0.9"), ARRAY3D: ("asked", "over 1")}
    for way, (key, goal) in others.items():
        if way in found:
            rates = [values[f"torch{n}"] / found[way][f"{key}{n}"] for n in (1, 2)]
            name = f"{way}, {ASKED}" if key == "asked" else way
            lines.append(
                f"{DECODED} / {name}: "
                f"1 worker {rates[0]:.2f}, 2 workers {rates[1]:.2f} (target {goal})"
            )
    seconds = f"{values['alone']:.1f} s and {values['pass']:.1f} s"
    ratio = values["alone"] / values["pass"]
    lines.append(f"decoding alone / first pass: {ratio:.2f} (target at least 0.9), {seconds}")
    memory = max(values["anonymous pass"], values["anonymous random"]) / 1e6
    name = "memory beside the mapping, first pass and rows by number"
    return [*lines, f"{name}: {memory:,.0f} MB (target under 300)"]


def print_writers() -> None:
    """Why tar files are written by tarfile: the same bytes without importing torch."""
    code = (
        "import psutil, time; before = psutil.Process().memory_info().rss; "
        "started = time.perf_counter(); import {0}; seconds = time.perf_counter() - started; "
        "print('  import {0}:', round(seconds, 2), 's,', "
        "(psutil.Process().memory_info().rss - before) // 1_000_000, 'MB')"
    )
    print("writers of tar files (the same bytes, as a test shows)")
    for name in ("tarfile", "webdataset"):
        subprocess.run([sys.executable, "-c", code.format(name)], check=True)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=2000)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, way, folder, cache = arguments.measure
        print(json.dumps(MEASURES[name](way, Path(folder), Path(cache))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_ours(folder, arguments.patches)
        if {ARRAY3D, GEOTIFFS} & set(arguments.ways):
            write_peers(folder, arguments.patches)
        found = measure_all(folder, arguments.ways)
        print("\n".join(table(found, arguments.patches)))
        if ARRAY3D in found:
            print("\n".join(["", *ratios(found)]))
            other = (folder / "with-dictionary.parquet").stat().st_size
            ours = found.get(PNG, found[ARRAY3D])["bytes"]
            print(
                f"Array3D with a dictionary of its values too: {other / 1e6:,.0f} MB; "
                f"PNG sheets / that: {ours / other:.2f}"
            )
        if DECODED in found:
            print("\n".join(["", *decoded_ratios(found)]))
    print_writers()


if __name__ == "__main__":
    main()
