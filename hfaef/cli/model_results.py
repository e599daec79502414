"""What `eval` writes for a model's repository: what is asked for, checked before the work, and the
files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hfaef.errors import InputError, command_line

if TYPE_CHECKING:
    from hfaef.release.benchmark.model_results import Dataset
    from hfaef.release.format.manifest import Manifest
    from hfaef.release.format.scores import Evaluation

Form = Literal["model-index", "eval-results"]


@dataclass(frozen=True)
class Wanted:
    """A file to write."""

    form: Form
    vectors: str
    """Whose scores."""
    path: Path


def parse_wanted(form: Form, arguments: Sequence[str], measured: Collection[str]) -> list[Wanted]:
    """The files that ``NAME=FILE`` arguments ask for.

    Args:
        form: of the files.
        arguments: as given.
        measured: names of the vectors that will have scores.

    Raises:
        InputError: if one is not of that form, or names other vectors.
    """
    found = []
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not (name and equals and path):
            raise InputError(f"--{form} {argument}: expected NAME=FILE", f"--{form} mean=mean.yaml")
        if name not in measured:
            raise InputError(
                f"--{form} {argument}: no vectors {name!r} are measured",
                f"one of {', '.join(sorted(measured))}",
            )
        if not Path(path).absolute().parent.is_dir():
            raise InputError(
                f"--{form} {argument}: there is no folder {Path(path).parent}", "make it first"
            )
        found.append(Wanted(form, name, Path(path)))
    return found


def measured_dataset(target: str, wanted: Sequence[Wanted]) -> tuple[Manifest, Dataset]:
    """The manifest of a target, and the data set that it is on the Hub.

    Raises:
        InputError: if it is not on the Hub, or no benchmark where a file needs one.
    """
    from hfaef.hub.open import open_published
    from hfaef.hub.target import HubTarget, parse_target
    from hfaef.release.benchmark.model_results import dataset_of, require_tasks
    from hfaef.release.format.manifest import read_manifest

    parsed = parse_target(target)
    if isinstance(parsed, HubTarget):
        published = open_published(parsed)
        manifest = published.release.manifest
        dataset = dataset_of(
            manifest, published.repo.id, published.version.tag, published.snapshot.commit
        )
    else:
        manifest = read_manifest(parsed)
        if manifest.repo is None:
            raise InputError(
                f"{target} is not published, and results name a data set on the Hub",
                f"first: {command_line('hfaef', 'push', target, 'OWNER/NAME')}",
            )
        dataset = dataset_of(manifest, manifest.repo, f"v{manifest.version}")
    if any(one.form == "eval-results" for one in wanted):
        require_tasks(dataset)
    return manifest, dataset


def write_results(
    wanted: Sequence[Wanted], evaluation: Evaluation, manifest: Manifest, dataset: Dataset
) -> list[str]:
    """Write the files; gives a line on each.

    Raises:
        InputError: if some vectors have no score.
        FolderError: if a file cannot be written.
    """
    from hfaef.core.files import atomic_write, folder_errors
    from hfaef.release.benchmark.model_results import eval_results, model_index, results_of

    lines = []
    for one in wanted:
        results = results_of(evaluation, manifest, one.vectors)
        content = (
            model_index(one.vectors, dataset, results)
            if one.form == "model-index"
            else eval_results(dataset, results)
        )
        with folder_errors(one.path):
            atomic_write(one.path, content)
        where = "its card's YAML" if one.form == "model-index" else "its folder .eval_results"
        lines.append(f"wrote:      {one.path}, for {where} in the repository of {one.vectors}")
    return lines
