"""What `eval` is asked to write for a model's repository is checked before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfaef.cli.model_results import Wanted, measured_dataset, parse_wanted
from hfaef.errors import InputError
from hfaef.release.format.manifest import manifest_bytes, read_manifest
from hfaef.release.format.paths import MANIFEST


def test_an_argument_names_vectors_and_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a=b.yaml"
    found = parse_wanted("model-index", [f"mean={path}"], {"mean", "stats"})
    assert found == [Wanted("model-index", "mean", path)]
    assert parse_wanted("eval-results", [], {"mean"}) == []


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("mean.yaml", "expected NAME=FILE"),
        ("=mean.yaml", "expected NAME=FILE"),
        ("mean=", "expected NAME=FILE"),
        ("tessera=a.yaml", "no vectors 'tessera' are measured"),
        ("mean=nowhere/a.yaml", "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(argument: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse_wanted("model-index", [argument], {"mean"})


def test_results_need_a_data_set_on_the_hub(own_release: Path) -> None:
    with pytest.raises(InputError, match="is not published") as caught:
        measured_dataset(str(own_release), [])
    assert "hfaef push" in str(caught.value.hint)


def test_a_published_folder_is_the_data_set_that_it_was_published_as(own_release: Path) -> None:
    manifest = read_manifest(own_release).model_copy(
        update={"repo": "ada/demo", "version": "1.2.0"}
    )
    (own_release / MANIFEST).write_bytes(manifest_bytes(manifest))
    found, dataset = measured_dataset(str(own_release), [])
    assert found == manifest
    assert (dataset.repo, dataset.tag, dataset.commit) == ("ada/demo", "v1.2.0", None)
    with pytest.raises(InputError, match=r"ada/demo has no eval\.yaml"):
        measured_dataset(str(own_release), [Wanted("eval-results", "mean", Path("a.yaml"))])
