"""Files of weights: what is whole is read, and what is hostile, broken or too big is refused."""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hfaef.encoders.checkpoint import MOST_BYTES, check_names, read_weights
from hfaef.errors import InputError

torch = pytest.importorskip("torch")


def state() -> dict[str, Any]:
    return {"conv.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2)}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_tensors_are_read_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(state(), file)
    else:
        torch.save(state(), file)
    found = read_weights(file)
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert set(found.tensors) == set(state())
    for name, tensor in state().items():
        assert torch.equal(found.tensors[name], tensor)


class Bomb:
    """Pickled, it writes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path: Path, zipped: bool) -> None:
    target = tmp_path / "ran"
    torch.save({"weight": Bomb(target)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Bomb(target)))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(InputError, match="code in it is not run"):
            read_weights(tmp_path / name)
    assert not target.exists()


def test_files_that_are_too_big_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.pth").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="34 GB of weights"):
        read_weights(tmp_path / "huge.pth")


def test_files_that_unpack_to_too_much_are_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pth"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(9):
            archive.writestr(f"archive/data/{number}", b"x")
    content = bytearray(file.read_bytes())
    for entry in re.finditer(rb"PK\x01\x02", bytes(content)):
        place = entry.start() + 24  # the unpacked size, in the list of members
        assert content[place : place + 4] == (1).to_bytes(4, "little")
        content[place : place + 4] = (2**32 - 2).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(InputError, match="39 GB of weights"):
        read_weights(file)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04" + bytes(50), b"\x80\x02.", b"\xff" * 20, b"<html>busy</html>"]
)
def test_files_that_are_none_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.") as refusal:
        read_weights(file)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"these are\nno weights", "begins with the text 'these are no weights'"),
        (b"hello, this is a text", "begins with the text 'hello, this is a text'"),
        (b"\xff" * 20, "begins with the bytes ff ff ff ff ff ff ff ff"),
    ],
)
def test_files_of_another_kind_are_told_by_what_they_hold(
    tmp_path: Path, suffix: str, content: bytes, found: str
) -> None:
    file = tmp_path / f"wrong{suffix}"
    file.write_bytes(content)
    message = rf"wrong\{suffix} is not a PyTorch or safetensors file: it {found}"
    with pytest.raises(InputError, match=message):
        read_weights(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.ones(2)], "holds list"),
        ({}, "no tensors by name"),
        ({"a": torch.ones(2), "epoch": 3}, "1 of 2 values, such as epoch"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=words):
        read_weights(tmp_path / "w.pth")


def test_a_missing_file_and_another_kind_of_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nowhere\.pth: No such file"):
        read_weights(tmp_path / "nowhere.pth")
    with pytest.raises(InputError, match=r"\.pth, \.pt, \.safetensors"):
        read_weights(tmp_path / "weights.bin")


def test_mismatches_are_counted_by_kind_and_heads_are_named(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    shapes = {"conv.weight": (2, 3)}
    assert check_names(weights, "m", shapes, {"fc.bias"}) == (
        "fc.bias of the model were left over in the file of weights",
    )
    with pytest.raises(InputError, match=r"1 are left over, such as fc\.bias"):
        check_names(weights, "m", shapes, ())
    with pytest.raises(InputError, match="2 are missing, such as a; 1 have another shape"):
        check_names(weights, "m", {"conv.weight": (9,), "a": (), "b": ()}, {"fc.bias"})
