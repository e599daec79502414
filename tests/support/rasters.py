"""GeoTIFFs to take vectors of, in a folder or an archive."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from rasterio.io import MemoryFile

from hfaef.evaluation.features import read_features
from hfaef.evaluation.rows import Rows

IDS = ("A_1", "A_2", "B_1", "B_2")
NAMES = ("A", "B")
ROWS = Rows(IDS, np.array([0, 0, 1, 1]), np.full(4, 2018), {}, NAMES)
PLACED = {"crs": "EPSG:32632", "transform": Affine(10, 0, 5e5, 0, -10, 5e6)}
RNG = np.random.default_rng(0)


def tiff(array: np.ndarray, tags: dict[str, Any] | None = None, **profile: Any) -> bytes:
    """A GeoTIFF of an array (bands, height, width)."""
    bands, height, width = array.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": array.dtype}
    shape |= PLACED
    with MemoryFile() as file:
        with file.open(driver="GTiff", **(shape | profile)) as dataset:
            dataset.write(array)
            for name, values in (tags or {}).items():
                setattr(dataset, name, values)
        return bytes(file.read())


def patches(dtype: str = "float32", bands: int = 5) -> dict[str, np.ndarray]:
    return {name: RNG.normal(50, 20, (bands, 6, 8)).astype(dtype) for name in IDS}


@dataclass
class Place:
    """Writes the same files into a folder or an archive."""

    root: Path
    kind: str

    def write(self, files: dict[str, bytes], name: str = "place") -> Path:
        if self.kind == "folder":
            for path, content in files.items():
                (self.root / name / path).parent.mkdir(parents=True, exist_ok=True)
                (self.root / name / path).write_bytes(content)
            return self.root / name
        path = self.root / f"{name}.{self.kind}"
        with tarfile.open(path, "w:gz" if self.kind.endswith("gz") else "w") as archive:
            for member, content in files.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return path


def labelled(found: dict[str, np.ndarray], **profile: Any) -> dict[str, bytes]:
    return {f"{name[0]}/{name}.tif": tiff(array, **profile) for name, array in found.items()}


def vectors(path: Path, options: str = "", rows: Rows = ROWS) -> np.ndarray:
    return read_features(f"mine={path}{options}", rows).vectors.array
