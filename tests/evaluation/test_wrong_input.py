"""Input that is wrong, or too little: `hfaef eval` says so in clear words, and the rest goes on."""

import inspect

import pytest

from hfaef.cli.main import run
from hfaef.cli.output import Output
from hfaef.cli.release import evaluate as evaluate_command
from hfaef.errors import InputError
from hfaef.evaluation.evaluate import Settings, evaluate
from hfaef.evaluation.probe.linear import MAX_ITERATIONS
from hfaef.release.format.scores import read_evaluation

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
