"""Input that is wrong, or too little: `hfaef eval` says so in clear words, and the rest goes on."""

import inspect

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hfaef.build.pipeline import build
from hfaef.cli.main import run
from hfaef.cli.release import evaluate as evaluate_command
from hfaef.cli.terminal.output import Output
from hfaef.errors import InputError
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.evaluation.probe.linear import MAX_ITERATIONS
from hfaef.evaluation.vectors import read_rows
from hfaef.recipe.read import read_recipe
from hfaef.release.format.manifest import read_manifest
from hfaef.release.format.rows import read_rows as read_pooled
from hfaef.release.format.scores import evaluation_bytes, read_evaluation

pytest.importorskip("sklearn", reason="the extra `eval` is not installed")


def run_words(monkeypatch, capsys, *words: object):
    """Exit code, standard output and errors of a command in this process."""
    monkeypatch.setattr("sys.argv", ["hfaef", *map(str, words)])
    code = run(Output())
    return code, *capsys.readouterr()


def test_a_solver_that_did_not_converge_is_told_once_with_the_setting_that_helps(
    own_release, monkeypatch, capsys
):
    about = ("eval", own_release, "--pooling", "mean", "--quick", "--probe", "linear")
    code, _, said = run_words(monkeypatch, capsys, *about, "--max-iterations", 3)
    assert code == 0
    (line,) = (line for line in said.splitlines() if "--max-iterations" in line)
    assert "ConvergenceWarning: lbfgs failed to converge" in line
    assert line.endswith("(probes: 4); give `--max-iterations 15`")
    found = read_evaluation(own_release)
    assert "at most 3 iterations" in found.protocol.linear
    # Another limit is another protocol: it stands beside no other scores.
    code, _, said = run_words(
        monkeypatch, capsys, "eval", own_release, "--pooling", "max", "--probe", "linear"
    )
    assert code == 2
    assert "at most 3 iterations, not" in said
    assert read_evaluation(own_release) == found
    code, _, said = run_words(monkeypatch, capsys, *about)
    assert code == 0
    assert "ConvergenceWarning" not in said
    assert "at most 1000 iterations" in read_evaluation(own_release).protocol.linear


def test_fewer_iterations_than_one_are_refused(own_release, monkeypatch, capsys):
    with pytest.raises(InputError, match="--max-iterations 0"):
        evaluate(str(own_release), Settings(max_iterations=0))
    code, _, said = run_words(monkeypatch, capsys, "eval", own_release, "--max-iterations", 0)
    assert code == 2
    assert "--max-iterations" in said


def test_the_command_has_the_limit_of_the_probe():
    parameter = inspect.signature(evaluate_command).parameters["max_iterations"]
    assert parameter.default == MAX_ITERATIONS == Settings().max_iterations


def table_of(release, path, change):
    """A table of random vectors of all rows, changed; with years, where there are several."""
    found = read_rows(release, read_manifest(release))
    vectors = np.random.default_rng(0).normal(size=(len(found.ids), 6)).astype(np.float32)
    columns = {"id": list(found.ids), "year": found.years.tolist()}
    columns["vector"] = list(change(vectors, found))
    pq.write_table(pa.table(columns), path)
    return path


def test_vectors_that_are_no_numbers_or_not_there_leave_the_others_to_be_scored(
    own_release, tmp_path, monkeypatch, capsys
):
    rows = read_rows(own_release, read_manifest(own_release))
    spoiled = [row for row in rows.of_split("random", None, "test").tolist() if row >= 3][:2]

    def spoil(vectors, _: object) -> np.ndarray:
        vectors[spoiled[0], 2], vectors[spoiled[1], 0] = np.nan, np.inf
        return vectors

    path = table_of(own_release, tmp_path / "mine.parquet", spoil)
    table = pq.read_table(path)
    pq.write_table(table.slice(3), path)  # three patches are not there at all
    about = ("--pooling", "mean", "--features", f"mine={path}", "--quick")
    code, _, said = run_words(monkeypatch, capsys, "eval", own_release, *about)
    assert code == 0
    assert "mine lacks 5 of 40 patches, the first:" in said
    assert "(2 with numbers not finite); it is scored on the others" in said
    found = read_evaluation(own_release)
    lost = {rows.ids[row] for row in (0, 1, 2, *spoiled)}
    for scheme in ("random", "spatial"):
        mine, mean = (found.score(name, scheme, 2018, "linear") for name in ("mine", "mean"))
        tests = {rows.ids[row] for row in rows.of_split(scheme, None, "test")}
        assert mine.test == len(tests - lost)
        assert mean.test == len(tests)
    assert {(one.a, one.b) for one in found.differences} == {("mean", "mine")}
    assert not found.skipped


@pytest.fixture(scope="module")
def two_years(tmp_path_factory):
    """A release of two years of one list of labels; do not write there."""
    root = tmp_path_factory.mktemp("two-years")
    world = root / "data"
    changes = [f"demo.root={world}", "demo.patches=40", f"patches.root={world / 'patches'}"]
    changes += [f"source.root={world / 'aef'}"]
    for split in ("train", "val", "test"):
        changes.append(f"patches.splits.random.{split}={world / 'lists' / f'random-{split}.txt'}")
    return build(read_recipe("demo-years", changes), root / "release").folder


def test_all_that_is_measured_is_the_same_bytes_each_time(two_years, tmp_path):
    path = table_of(two_years, tmp_path / "mine.parquet", lambda vectors, _: vectors / 9)
    settings = Settings(
        poolings=("mean", "std"), features=(f"mine={path}",), fuse=("mean+mine", "mean+std")
    )
    one, two = (evaluate(str(two_years), settings, out=tmp_path / f"{name}.json") for name in "ab")
    assert one.path.read_bytes() == two.path.read_bytes()
    found = one.evaluation
    assert evaluation_bytes(found) == one.path.read_bytes()
    counts = {name: len(getattr(found, name)) for name in ("curves", "shrunk", "differences")}
    assert counts == {"curves": 4, "shrunk": 6 + 4 + 5 + 5, "differences": 4 * 10}
    assert len(found.transfers) == 4
    assert len(found.stability) == 1
    assert {score.year for score in found.scores} == {2018, 2024}
    assert "few labels: C = 1" in found.protocol.curves
    # The column of pooled rows and the quantiles of the evaluation tell of the same cosines.
    pooled = read_pooled(two_years, read_manifest(two_years), "pooled")
    cosines = [row["cosine_previous_year"] for row in pooled if row["year"] == 2024]
    assert found.stability[0].patches == len(cosines) == 40
    assert found.stability[0].quantiles == pytest.approx(
        np.percentile(cosines, (5, 25, 50, 75, 95)), abs=2e-6
    )


def test_the_same_vectors_of_fewer_patches_are_neither_better_nor_worse(own_release, tmp_path):
    """What is compared is vectors, not how many patches a probe had to learn from."""
    manifest = read_manifest(own_release)
    rows = read_rows(own_release, manifest)
    scheme = manifest.schemes[0]
    train = [number for number in range(len(rows.ids)) if rows.splits[scheme][number] == "train"]
    pooled = {
        row["id"]: row["mean"]
        for row in read_pooled(own_release, manifest, "pooled", ["id", "mean"])
    }
    left_out = {rows.ids[number] for number in train[: 2 * len(train) // 3]}
    few = {name: vector for name, vector in pooled.items() if name not in left_out}
    place = tmp_path / "few.parquet"
    pq.write_table(pa.table({"id": [*few], "vector": [*few.values()]}), place)
    settings = Settings(poolings=["mean"], features=[f"few={place}"], quick=True)
    found = evaluate(str(own_release), settings).evaluation
    assert next(one for one in found.features if one.name == "few").lacking == len(left_out)
    pairs = [one for one in found.differences if one.scheme == scheme]
    assert {one.probe for one in pairs} == {"knn", "linear"}
    for one in pairs:
        assert one.better is None
        assert abs(one.difference.value) < 1e-9
    card = (own_release / "README.md").read_text()
    assert f"`few` lacks {len(left_out)} patches" in card


def test_neighbours_stay_whatever_the_solver_may_do(own_release):
    before = evaluate(str(own_release), Settings(poolings=["mean"], probes=["knn"], quick=True))
    settings = Settings(poolings=["mean"], probes=["linear"], quick=True, max_iterations=2000)
    after = evaluate(str(own_release), settings).evaluation
    kept = [one for one in after.scores if one.probe == "knn"]
    assert kept == list(before.evaluation.scores)
    with pytest.raises(InputError, match="would stay, such as mean, linear") as caught:
        evaluate(str(own_release), Settings(poolings=["max"], probes=["linear"], quick=True))
    assert "--pooling, --features, --embed or --fuse: mean" in caught.value.hint
