"""The command line as its users meet it: output, exit codes, one line an error."""

from __future__ import annotations

import json
import os
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
        (["card", "nowhere"], 1, "nowhere holds no finished release"),
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


def test_an_error_is_json_too_if_that_was_asked_for(workplace: Path) -> None:
    done = hfaef("status", "nowhere", "--json", folder=workplace)
    assert json.loads(done.stdout)["exit_code"] == 2


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
    told = hfaef(*words, folder=workplace).stdout
    assert told.startswith("mean: knn random 2018 ")
    found = json.loads(hfaef(*words, "--json", folder=workplace).stdout)
    assert found == json.loads((tmp_path / "s.json").read_text())
    picture = tmp_path / "all.png"
    shown = hfaef(
        "show", "build/AlphaEarth-Demo", "--out", str(picture), "--json", folder=workplace
    )
    assert json.loads(shown.stdout) == {"paths": [str(picture)]}
    assert picture.is_file()
    done = hfaef("eval", "build/AlphaEarth-Demo", "--pooling", "average", folder=workplace)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'average' is not known" in done.stderr
