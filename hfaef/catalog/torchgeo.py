"""Patches of TorchGeo's EuroSAT; TorchGeo downloads, unpacks and checks them."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from urllib.error import URLError
from zipfile import BadZipFile

from hfaef.catalog.geotiffs import make_ids, read_patches
from hfaef.catalog.patch import Catalog
from hfaef.catalog.splits import read_schemes
from hfaef.errors import CatalogError, missing_package
from hfaef.recipe.patches import TorchGeo

_SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""TorchGeo's names and ours."""


def read(section: TorchGeo, year: int) -> Catalog:
    """The catalog of one of TorchGeo's data sets.

    Raises:
        InputError: if TorchGeo is not installed.
        CatalogError: if the data set is not there, or not what TorchGeo says it is.
    """
    try:
        from torchgeo import datasets
    except ImportError as error:
        raise missing_package('patches.kind = "torchgeo"', error) from error
    random = {"EuroSAT": datasets.EuroSAT, "EuroSAT100": datasets.EuroSAT100}[section.dataset]
    paths: list[Path] = []
    labels: dict[Path, str] = {}
    for split in _SPLITS:
        opened = _open(random, section, split)
        for path, number in opened.samples:
            paths.append(Path(path))
            labels[Path(path)] = opened.classes[number]
    ids, notes = make_ids(sorted(paths))
    lists = {
        scheme: {
            ours: _list(random if scheme == "random" else datasets.EuroSATSpatial, section, theirs)
            for theirs, ours in _SPLITS.items()
        }
        for scheme in section.schemes
    }
    splits_of, more = read_schemes(lists, {path.stem: ids[path] for path in ids})
    patches, unreadable = read_patches(ids, labels, splits_of, year, skip_bad=section.skip_bad)
    return Catalog(
        patches=patches,
        label_names=tuple(sorted(set(labels.values()))),
        schemes=tuple(section.schemes),
        notes=(*notes, *more),
        unreadable=unreadable,
        files={identity: path for path, identity in ids.items()},
    )


def _open(kind: Any, section: TorchGeo, split: str) -> Any:
    """One split of TorchGeo's data set, downloaded if the recipe says so."""
    from torchgeo.datasets import DatasetNotFoundError

    try:
        opened = kind(
            root=str(section.root),
            split=split,
            download=section.download,
            checksum=section.checksum,
        )
    except DatasetNotFoundError as error:
        raise CatalogError(
            f"{section.dataset} is not in {section.root}",
            "let TorchGeo get it: --set patches.download=true",
        ) from error
    except URLError as error:
        raise CatalogError(
            f"TorchGeo cannot download {section.dataset}: {error.reason}",
            "check the network, then run again",
        ) from error
    except (RuntimeError, OSError, ValueError, BadZipFile, zlib.error, EOFError) as error:
        raise CatalogError(
            f"TorchGeo cannot open {section.dataset} in {section.root}: {error}",
            "mend or remove what is there, then run again",
        ) from error
    _list(kind, section, split)
    return opened


def _list(kind: Any, section: TorchGeo, split: str) -> Path:
    """The file of a split's names, downloaded if need be, and checked."""
    from torchgeo.datasets.utils import check_integrity, download_url

    path: Path = section.root / kind.split_filenames[split]
    md5 = kind.split_md5s[split] if section.checksum else None
    if not path.is_file():
        if not section.download:
            raise CatalogError(
                f"there is no split list {path}", "let TorchGeo get it: --set patches.download=true"
            )
        try:
            download_url(kind.url + path.name, str(section.root), md5=md5)
        except (URLError, RuntimeError) as error:
            raise CatalogError(f"cannot download {path.name}: {error}", "run again") from error
    # TorchGeo compares sums of what it downloads, not of what it finds.
    if not check_integrity(str(path), md5):
        raise CatalogError(
            f"the split list {path} is not TorchGeo's (its MD5 differs)",
            "remove it, or accept it: --set patches.checksum=false",
        )
    return path
