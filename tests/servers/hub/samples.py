"""A small release as files, and client code that uploads and loads it."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from servers.hub import Hub

NAME = "ada/patches"


CARD = """---
configs:
- config_name: random
  default: true
  data_files:
  - split: train
    path: data/random=train/*/*.parquet
  - split: test
    path: data/random=test/*/*.parquet
- config_name: spatial
  data_files:
  - split: train
    path: data/*/spatial=train/*.parquet
---
# Patches
"""


UPLOAD = """
from huggingface_hub import CommitOperationAdd
name, files, parent = arguments
api.create_repo(name, repo_type="dataset", exist_ok=True)
adds = [CommitOperationAdd(path, local) for path, local in files.items()]
api.preupload_lfs_files(name, adds, repo_type="dataset", free_memory=False)
answer = api.create_commit(
    name, adds, repo_type="dataset", commit_message="one", parent_commit=parent
).oid
"""


LOAD = """
import datasets
datasets.disable_progress_bars()
name, config, revision, streaming = arguments
loaded = datasets.load_dataset(name, config, revision=revision, streaming=streaming)
answer = {split: [row["id"] for row in rows] for split, rows in loaded.items()}
"""


def parquet(first: int, count: int = 4) -> bytes:
    table = pa.table({"id": [f"p{first + i}" for i in range(count)], "n": list(range(count))})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def release_files() -> dict[str, bytes]:
    return {
        "README.md": CARD.encode(),
        "data/random=train/spatial=train/00000.parquet": parquet(0),
        "data/random=train/spatial=test/00000.parquet": parquet(4),
        "data/random=test/spatial=train/00000.parquet": parquet(8),
        "release.json": b"{}",
    }


def put_release(hub: Hub, tag: str | None = "v1.0.0") -> str:
    repo = hub.create(NAME)
    commit = hub.put(NAME, dict(release_files()))
    if tag:
        repo.tag(tag, commit.oid, "first", "ada")
    return commit.oid


def write_files(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return {path: str(folder / path) for path in files}
