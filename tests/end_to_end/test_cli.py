"""The command line as its users meet it: output, exit codes, one line an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from build.test_pipeline import demo_recipe


def hfaef(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from hfaef.cli.main import main; main()", *words],
        cwd=folder,
        env={**os.environ, "HF_HOME": str(folder / ".hf"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the built-in demo was built."""
    folder = tmp_path_factory.mktemp("workplace")
    done = hfaef("build", "demo", "--set", "demo.patches=40", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    (folder / "done.json").write_text(done.stdout)
    return folder


def test_build_prints_one_json_object_and_progress_elsewhere(workplace: Path) -> None:
    summary = json.loads((workplace / "done.json").read_text())
    assert summary["rows"] == 40
    assert summary["folder"] == "build/AlphaEarth-Demo"
    assert summary["missing"] == 0


def test_status_check_and_card_work_on_what_was_built(workplace: Path) -> None:
    status = json.loads(hfaef("status", "build/AlphaEarth-Demo", "--json", folder=workplace).stdout)
    assert (status["patches"], status["fetched"], status["released_rows"]) == (40, 40, 40)
    check = hfaef("check", "build/AlphaEarth-Demo", "--json", folder=workplace)
    assert json.loads(check.stdout)["findings"] == []
    assert hfaef("card", "build/AlphaEarth-Demo", folder=workplace).returncode == 0


RELEASE = "build/AlphaEarth-Demo"
COMMANDS: dict[str, tuple[list[str], list[str] | None]] = {
    "build": (["build", "demo", "--set", "demo.patches=40"], [RELEASE]),
    "plan": (["plan", "demo", "--set", "demo.patches=40"], None),
    "status": (["status", RELEASE], [f"hfaef push {RELEASE} OWNER/NAME"]),
    "check": (["check", RELEASE], []),
    "diff": (["diff", RELEASE, RELEASE], []),
    "card": (["card", RELEASE], [f"{RELEASE}/README.md"]),
    "embed": (
        ["embed", "stats", "demo", "--set", "demo.patches=40"],
        ["AlphaEarth-Demo-stats.parquet"],
    ),
    "atlas": (["atlas", RELEASE, "--site", "site-MODE"], ["site-quiet"]),
    "export": (["export", RELEASE, "--to", "gis-MODE"], ["gis-quiet"]),
    "init": (["init", "new-MODE"], ["new-quiet.toml"]),
    "doctor": (["doctor", "demo"], None),
}
"""Commands, and what `--quiet` prints where that is known beforehand."""

RUN_ALL = """
import contextlib, contextvars, io, json, sys
from hfaef.cli import main
found = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["hfaef", *words]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            contextvars.copy_context().run(main.main)
        except SystemExit as end:
            found.append([end.code, output.getvalue(), errors.getvalue()])
print("\\n" + json.dumps(found))
"""


def run_all(*commands: list[str], folder: Path) -> list[tuple[int, str, str]]:
    """Exit codes, output and errors of commands, one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN_ALL, json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "HF_HOME": str(folder / ".hf"), "HF_TOKEN": "hf_token"},
        capture_output=True,
        text=True,
        check=True,
        timeout=500,
    )
    return [tuple(found) for found in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.parametrize("mode", ["human", "json", "quiet"])
def test_every_command_prints_for_people_for_programs_and_for_scripts(
    workplace: Path, mode: str
) -> None:
    option = [] if mode == "human" else [f"--{mode}"]
    asked = [
        [word.replace("MODE", mode) for word in words] + option for words, _ in COMMANDS.values()
    ]
    outcomes = run_all(*asked, folder=workplace)
    for (words, values), (code, output, errors) in zip(COMMANDS.values(), outcomes, strict=True):
        assert code == 0, (words, errors)
        if mode == "human":
            assert output.strip(), words
        if mode == "json":
            assert isinstance(json.loads(output), dict), words
        if mode == "quiet":
            assert errors == "", words
            assert values is None or output.splitlines() == values


def test_a_finding_is_all_that_a_quiet_check_prints(workplace: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(workplace / "build/AlphaEarth-Demo", tmp_path / "out")
    (folder / "notes.txt").write_text("")
    done = hfaef("check", str(folder), "-q", folder=workplace)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "notes.txt: is not in the manifest\n"


def test_a_terminal_gets_tables_with_a_rule(workplace: Path) -> None:
    parent, child = os.openpty()
    words = [sys.executable, "-W", "ignore", "-m", "hfaef", "plan", "demo"]
    words += ["--set", "demo.patches=40"]
    done = subprocess.run(words, cwd=workplace, stdout=child, check=True, timeout=100)
    os.close(child)
    shown = os.read(parent, 65536).decode()
    os.close(parent)
    assert done.returncode == 0
    assert "time, at least" in shown
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * 5 in shown


def test_people_are_told_what_to_type_next(workplace: Path) -> None:
    done = hfaef("build", "demo", "--set", "demo.patches=40", folder=workplace)
    assert "load_dataset('build/AlphaEarth-Demo')" in done.stdout
    assert "hfaef check build/AlphaEarth-Demo" in done.stdout


def test_init_writes_a_recipe_that_builds_as_it_is(workplace: Path) -> None:
    wrote = hfaef("init", "mine", "--json", folder=workplace)
    path = json.loads(wrote.stdout)["path"]
    built = hfaef(
        "build", path, "--set", "demo.patches=40", "--limit", "3", "--json", folder=workplace
    )
    assert json.loads(built.stdout)["rows"] == 3


def test_init_from_a_table_says_what_it_found_and_its_recipe_builds(workplace: Path) -> None:
    table = "data/demo/points.csv"
    (workplace / "hfaef.schema.json").unlink(missing_ok=True)  # of another test
    done = hfaef("init", "fits", "--from", table, folder=workplace)
    assert done.stdout.splitlines() == [
        "rows     40 in points.csv",
        "place    lon, lat",
        done.stdout.splitlines()[2],
        "schemes  split",
        "wrote fits.toml; unclear in it: years, size",
        "wrote hfaef.schema.json, by which editors know the keys of recipes",
        "then:       hfaef plan fits.toml",
    ]
    assert "label    numbers to predict, 0." in done.stdout
    changes = ["--set", "source.root=data/demo/aef", "--set", "patches.size=8"]
    built = hfaef("build", "fits.toml", *changes, "--limit", "3", "--json", folder=workplace)
    assert json.loads(built.stdout)["rows"] == 3
    again = hfaef("init", "fits", "--from", table, folder=workplace)
    assert (again.returncode, "choose another name" in again.stderr) == (2, True)
    found = json.loads(hfaef("init", "x", "--from", table, "--json", folder=workplace).stdout)
    assert (found["path"], found["unclear"], found["to_do"]) == ("x.toml", ["years", "size"], [])


def test_a_finding_makes_check_fail(workplace: Path, tmp_path: Path) -> None:
    done = hfaef(
        "build",
        "demo",
        "--set",
        "demo.patches=40",
        "--limit",
        "2",
        "--out",
        str(tmp_path / "out"),
        folder=workplace,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "out/notes.txt").write_text("")
    check = hfaef("check", str(tmp_path / "out"), folder=workplace)
    assert check.returncode == 1
    assert "notes.txt: is not in the manifest" in check.stdout


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["build"], 2, "hfaef.toml"),
        (["build", "none.toml"], 2, "none.toml"),
        (["build", "demo", "--set", "patches.rot=1"], 2, "patches.rot"),
        (["build", "demo", "--limit", "0"], 2, "limit"),
        (["build", "demo", "--nope"], 2, "--nope"),
        (["build", "demo", "--staging", "x3://a/b"], 2, "x3:// is no object store"),
        (["build", "demo", "--staging", "oci://a/b"], 2, "pip install ocifs"),
        (["build", "demo", "--staging", "s3://KEY:WORD@a/b"], 2, "without a password"),
        (["buld"], 2, "buld"),
        (["export", "nowhere"], 2, "'--to'; see `hfaef export --help`"),
        (["build", "demo", "--out", "occupied"], 2, "occupied holds something else"),
        (["status", "nowhere"], 2, "no build was started in nowhere"),
        (["check", "nowhere"], 2, "'nowhere' is neither a folder nor OWNER/NAME[@VERSION]"),
        (["card", "nowhere"], 2, "'nowhere' is neither a folder nor OWNER/NAME[@VERSION]"),
        (["init", "a b"], 2, "a b"),
    ],
)
def test_an_error_is_one_line_that_names_its_place(
    workplace: Path, words: list[str], code: int, word: str
) -> None:
    (workplace / "occupied").mkdir(exist_ok=True)
    (workplace / "occupied/thesis.docx").write_text("")
    done = hfaef(*words, folder=workplace)
    assert done.returncode == code
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert word in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "nowhere"], 2),
        (["card", "nowhere"], 2),
        (["build", "demo", "--nope"], 2),
        (["buld"], 2),
        (["status", "nowhere", "--quiet"], 2),
    ],
)
def test_an_error_is_json_too_if_that_was_asked_for(
    workplace: Path, words: list[str], code: int
) -> None:
    done = hfaef(*words, "--json", folder=workplace)
    error = json.loads(done.stdout)
    assert error.keys() == {"error", "hint", "exit_code"}
    assert error["exit_code"] == done.returncode == code
    assert done.stderr == f"error: {error['error']}; {error['hint']}\n"


def test_a_quiet_command_says_what_is_wrong(workplace: Path) -> None:
    done = hfaef("status", "nowhere", "-q", folder=workplace)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no build was started in nowhere; ")


def test_a_reader_that_goes_away_is_no_fault_of_ours(workplace: Path) -> None:
    command = "from hfaef.cli.main import main; main()"
    words = [sys.executable, "-W", "ignore", "-c", command, "status", "build/AlphaEarth-Demo"]
    process = subprocess.Popen(
        words, cwd=workplace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        said = errors.read()
    process.wait(timeout=60)
    assert "fault in hfaef" not in said
    assert "Traceback" not in said


def test_a_traceback_is_shown_only_when_it_is_asked_for(workplace: Path) -> None:
    assert "Traceback" in hfaef("status", "nowhere", folder=workplace, HFAEF_DEBUG="1").stderr


def test_missing_patches_end_with_their_own_exit_code(workplace: Path, tmp_path: Path) -> None:
    recipe = demo_recipe(workplace, f"source.root={tmp_path / 'aef'}")
    assert recipe.demo is not None
    import shutil

    shutil.copytree(workplace / "data/demo/aef", tmp_path / "aef")
    min((tmp_path / "aef/2018/33N").glob("*.tiff")).unlink()
    words = [
        "build",
        "demo",
        "--set",
        "demo.patches=40",
        "--set",
        f"source.root={tmp_path / 'aef'}",
    ]
    done = hfaef(*words, "--out", str(tmp_path / "out"), folder=workplace)
    assert done.returncode == 3
    assert "--allow-missing" in done.stderr
    status = hfaef("status", str(tmp_path / "out"), folder=workplace)
    assert "is not there" in status.stdout
    assert "no release yet" in status.stdout
    assert (
        hfaef(
            *words, "--out", str(tmp_path / "out"), "--allow-missing", folder=workplace
        ).returncode
        == 0
    )


def test_doctor_needs_nothing_but_versions_for_a_source_in_a_folder(workplace: Path) -> None:
    done = hfaef("doctor", "demo", "--json", folder=workplace, HF_TOKEN="hf_secret")
    topics = {finding["topic"]: finding["fine"] for finding in json.loads(done.stdout)["findings"]}
    assert topics == {"versions": True, "hub": True}
    assert "hf_secret" not in done.stdout + done.stderr


def test_doctor_says_what_to_type_without_credentials(workplace: Path) -> None:
    environment = {"HOME": str(workplace / "nobody"), "GOOGLE_APPLICATION_CREDENTIALS": ""}
    done = hfaef("doctor", "eurosat100", folder=workplace, **environment)
    assert done.returncode == 1
    assert "HFAEF_EE_TOKEN" in done.stdout


def test_help_teaches(workplace: Path) -> None:
    overall = hfaef("--help", folder=workplace).stdout
    for command in ("build", "status", "check", "card", "init", "doctor"):
        assert command in overall
        assert "Usage" in hfaef(command, "--help", folder=workplace).stdout


def test_eval_scores_a_release_and_show_draws_it(workplace: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    words = [
        "eval",
        "build/AlphaEarth-Demo",
        "--pooling",
        "mean",
        "--out",
        str(tmp_path / "s.json"),
    ]
    table = hfaef(*words, folder=workplace).stdout.splitlines()
    found = json.loads(hfaef(*words, "--json", folder=workplace).stdout)
    assert found.pop("path") == str(tmp_path / "s.json")
    replaced, few = found.pop("notes")
    assert replaced.startswith("measured again and replaced: ")
    assert few.startswith("Only 6 patches to test on")
    assert found == json.loads((tmp_path / "s.json").read_text())
    assert table[0].split("  ")[0] == "vectors"
    assert table[0].endswith("overall accuracy, %  95 % interval  with validation")
    knn, again = found["scores"][:2]
    assert (knn["fit"], again["fit"]) == ("train", "train+validation")
    accuracy = knn["metrics"]["accuracy"]
    low, value, high = (f"{100 * accuracy[key]:.1f}" for key in ("low", "value", "high"))
    assert table[1].split() == [
        *["mean", "kNN,", "k", "=", str(knn["neighbours"]), knn["scheme"], "2018"],
        *[str(knn["train"]), str(knn["test"]), value, low, "to", high],
        f"{100 * again['metrics']['accuracy']['value']:.1f}",
    ]
    assert table[-1] == f"wrote:      {tmp_path / 's.json'}"
    assert len(table) == 1 + 2 * len({score["scheme"] for score in found["scores"]}) + 1
    picture = tmp_path / "all.png"
    shown = hfaef(
        "show", "build/AlphaEarth-Demo", "--out", str(picture), "--json", folder=workplace
    )
    assert json.loads(shown.stdout) == {"paths": [str(picture)]}
    assert picture.is_file()
    done = hfaef("eval", "build/AlphaEarth-Demo", "--pooling", "average", folder=workplace)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'average' is not known" in done.stderr


def test_a_reader_that_goes_ends_a_command_quietly_with_the_usual_code(workplace: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", "from hfaef.cli.main import main; main()"),
            *("status", "build/AlphaEarth-Demo"),
        ],
        cwd=workplace,
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=300,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_build_names_the_commands_that_come_next(workplace: Path) -> None:
    done = hfaef("build", "demo", "--set", "demo.patches=40", folder=workplace)
    folder = "build/AlphaEarth-Demo"
    assert f"check it:   hfaef check {folder}\n" in done.stdout
    assert done.stdout.endswith(f"score it:   hfaef eval {folder}\n")


def test_eval_says_what_differs_in_the_words_of_the_card(workplace: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    shutil.copytree(workplace / "build/AlphaEarth-Demo", tmp_path / "demo")
    words = ["eval", "demo", "--quick", "--pooling", "mean", "--pooling", "std"]
    done = hfaef(*words, "--fuse", "mean+std", folder=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    said = [line for line in lines if " than " in line or "no difference" in line]
    assert len(said) == 2  # the fused and the other pooling against the first
    card = (tmp_path / "demo/README.md").read_text()
    plain = card.replace("**", "").replace("`", "")
    assert all(f"- {line}\n" in plain for line in said)
    assert lines[-1].startswith("publish it: ")
    found = json.loads((tmp_path / "demo/evaluation.json").read_text())
    assert (found["curves"], found["shrunk"]) == ([], [])
    quiet = hfaef(*words, "-q", folder=tmp_path)
    assert [line.split(":")[0] for line in quiet.stdout.splitlines()] == [
        *["mean", "std", "mean+std"],  # which stays from the run before
    ]


def test_eval_tells_the_time_left_of_curves_too(workplace: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the extra `eval` is not installed")
    words = ["eval", "build/AlphaEarth-Demo", "--pooling", "mean", "--probe", "linear"]
    done = hfaef(*words, "--out", str(tmp_path / "s.json"), folder=workplace)
    last = [line for line in done.stderr.splitlines() if line.startswith("probe: ")][-1]
    assert last.startswith("probe: 4 of 4, ")
    assert last.endswith("few labels and smaller vectors")
