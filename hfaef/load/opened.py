"""A config of a release where `datasets` finds it: in a folder, on the Hub, or in the caches."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfaef.errors import (
    FolderError,
    HubError,
    InputError,
    ReleaseError,
    command_line,
    upgrade_command,
)

if TYPE_CHECKING:
    import datasets

_MANIFEST = "release.json"


def find_folder(path_or_repo: str | Path, *, pinned: bool) -> Path | None:
    """The folder that is meant, as commands understand a TARGET; None for a repository, as a text
    OWNER/NAME is where a version is pinned.
    """
    from hfaef.core.names import loadable_problem

    there, written = Path(path_or_repo), isinstance(path_or_repo, str)
    if written and (pinned or not there.exists()):
        from hfaef.core.names import REPO_ID

        if REPO_ID.fullmatch(str(path_or_repo)):
            return None
    if there.is_dir():
        if problem := loadable_problem(str(there.resolve())):
            raise FolderError(problem, "move it to another folder")
        return there.resolve()  # datasets names a data set after it; `.` has no name
    raise InputError(
        f"{str(path_or_repo)!r} is neither a folder nor OWNER/NAME on the Hub", "name one of these"
    )


@dataclass(frozen=True)
class Opened:
    """A config of a release."""

    builder: datasets.DatasetBuilder
    manifest: dict[str, Any]
    """Empty if the caches hold rows alone."""
    config: str
    base: str
    """The folder, or ``hf://datasets/OWNER/NAME@COMMIT``, that its files lie in."""

    def read(self, split: str | None, *, streaming: bool) -> Any:
        """Rows of a split, or of all of them by name.

        Raises:
            InputError: if the config has no such split.
        """
        from hfaef.core.codec import splits_of

        known = [part["name"] for part in splits_of(self.manifest, self.config)]
        if known and split and split.isidentifier() and split not in (*known, "all"):
            raise InputError(f"there is no split {split!r}", f"there are {', '.join(known)}")
        with self._hub_errors():
            if streaming:
                return self.builder.as_streaming_dataset(split=split)
            self.builder.download_and_prepare()
            return self.builder.as_dataset(split=split)

    def digest(self) -> str:
        """Of the files that the config reads, as the manifest lists them."""
        from hfaef.core.codec import files_of

        listed = json.dumps(files_of(self.manifest, self.config), sort_keys=True)
        return hashlib.sha256(listed.encode()).hexdigest()

    def _hub_errors(self) -> AbstractContextManager[None]:
        scheme, _, rest = self.base.partition("://datasets/")
        if scheme != "hf":
            return nullcontext()
        from hfaef.core.net.repository import reading_from_hub

        return reading_from_hub(rest.partition("@")[0])

    def verify(self, name: str) -> None:
        """Compare the files of the config with the manifest.

        Raises:
            ReleaseError: naming the first that is not what it lists, or not there.
        """
        from datasets import DownloadManager

        from hfaef.core.codec import files_of, require_listed_path
        from hfaef.core.files import require_sha256, sha256_of

        if not self.manifest:
            raise ReleaseError(
                f"{name}: the cache holds no {_MANIFEST} to verify it with", "load it with network"
            )
        if self.base != str(Path(name).resolve()):
            name = f"{name}@{self.manifest.get('version')}"
        downloads = DownloadManager(base_path=self.base)
        files = files_of(self.manifest, self.config)
        read = (self.builder.config.data_files or {}).values()
        paths = {str(path).removeprefix(f"{self.base}/") for part in read for path in part}
        if unlisted := paths - {file["path"] for file in files}:
            raise ReleaseError(
                f"{name}: {min(unlisted)} is not in the manifest, but would be read",
                command_line("hfaef", "check", name),
            )

        def digest(path: str) -> str:
            return sha256_of(Path(downloads.download(path)))

        with self._hub_errors():
            for file in files:
                path = require_listed_path(name, file["path"])
                require_sha256(name, path, file["sha256"], partial(digest, path))


def _open(target: str, config: str | None, commit: str | None = None) -> Opened:
    """A config, pinned to a commit, and the manifest of that commit."""
    from datasets import load_dataset_builder

    from hfaef.core.codec import require_listed_path

    known = load_dataset_builder(target, revision=commit)
    base = str(known.base_path)
    if commit is not None and not base.endswith(f"@{commit}"):
        # Without a word, datasets takes the newest of its cache where it cannot reach the Hub.
        raise ConnectionError(f"the Hub gave no answer for {commit}")
    manifest = _read_manifest(target, base)
    configs = {entry["name"]: entry for entry in manifest["configs"]}
    default = next((name for name, entry in configs.items() if entry.get("default")), "")
    name = default if config is None else config
    if name == default:
        return Opened(known, manifest, name, base)
    if name not in configs:
        raise InputError(f"{target} has no config {config!r}", f"it has {', '.join(configs)}")
    entry = configs[name]
    if entry["kind"] == "pooled" and manifest["recipe"]["pack"]["format"] == "webdataset":
        # load_dataset reads one format in a repository, and the table is no WebDataset.
        globs = {
            part["name"]: require_listed_path(target, part["glob"]) for part in entry["splits"]
        }
        files = {name: f"{base}/{glob}" for name, glob in globs.items()}
        builder = load_dataset_builder("parquet", data_files=files)
    else:
        builder = load_dataset_builder(target, name, revision=commit)
    return Opened(builder, manifest, name, base)


def open_folder(
    folder: Path, config: str | None, version: str | None, revision: str | None
) -> Opened:
    """A config of a folder, which has to be of the version.

    Raises:
        InputError: if a revision of it is asked for.
        ReleaseError: if it is of another version, or holds no release.
    """
    if revision is not None:
        raise InputError(f"{folder} is a folder, which has no revisions", "leave it out")
    _read_manifest(str(folder), str(folder))  # datasets says less of a folder without data
    try:
        opened = _open(str(folder), config)
    except (ValueError, FileNotFoundError) as error:  # of datasets, for files that are gone
        raise ReleaseError(
            f"{folder} cannot be loaded: {error}", command_line("hfaef", "check", folder)
        ) from error
    found = opened.manifest.get("version")
    if version is not None and found != version.removeprefix("v"):
        raise ReleaseError(f"{folder} is of version {found}, not {version}", "load it from the Hub")
    return opened


def open_repository(repo_id: str, config: str | None, revision: str | None) -> Opened:
    """A config of a repository, from the Hub; if it cannot be reached, from the caches.

    Raises:
        HubError: if neither has it.
    """
    from hfaef.core.net.repository import UnreachableError, find_commit, reading_from_hub

    commit = revision
    try:
        try:
            commit = find_commit(repo_id, revision)
            with reading_from_hub(repo_id):
                # As an address: a folder of that name is none of our business.
                return _open(f"hf://datasets/{repo_id}", config, commit)
        except UnreachableError as error:
            return _open_cached(repo_id, config, commit, error)
    except HubError as error:
        if revision is not None:
            raise
        # OWNER/NAME without a version may as well have been meant as the path of a folder.
        raise HubError(
            f"there is no folder {repo_id}, and {error.message}",
            f"{error.hint}, or name the folder of a release",
        ) from error


def _open_cached(repo_id: str, config: str | None, revision: str | None, error: HubError) -> Opened:
    """A config at the commit that a revision last had, as far as the caches hold it."""
    from hfaef.core.codec import files_of
    from hfaef.core.net.repository import cached_builder, cached_configs, cached_snapshot

    snapshot = cached_snapshot(repo_id, revision)
    where = f"{repo_id} at {revision or 'main'}"
    if snapshot is None:
        raise HubError(f"{error.message}; and the cache does not hold {where}", error.hint)
    there = (snapshot / _MANIFEST).is_file()
    manifest = _read_manifest(repo_id, str(snapshot)) if there else {}
    name = config or next(iter(cached_configs(snapshot)), "default")
    builder = cached_builder(repo_id, name, snapshot.name)
    if builder is not None:
        return Opened(builder, manifest, name, str(snapshot))
    files = files_of(manifest, name)
    if files and all((snapshot / file["path"]).is_file() for file in files):
        with suppress(FileNotFoundError):  # of the default config, which datasets looks at, too
            return _open(str(snapshot), name)
    raise HubError(
        f"{error.message}; and the cache does not hold all of the config {name!r} of {where}",
        error.hint,
    )


def _read_manifest(target: str, base: str) -> dict[str, Any]:
    from datasets import DownloadManager

    from hfaef.core.codec import FORMAT

    try:
        path = DownloadManager(base_path=base).download(_MANIFEST)
        content = json.loads(Path(path).read_bytes())
        found = int(content["format"])
    except ConnectionError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{target} holds no release: its {_MANIFEST} cannot be read: {error}",
            "load it with datasets.load_dataset",
        ) from error
    if found > FORMAT:
        raise ReleaseError(
            f"{target} has format {found}, newer than the {FORMAT} that this hfaef knows",
            upgrade_command(),
        )
    return dict(content)
