"""Kinds of model files that are not ONNX."""

import os
import pickle
import zipfile

import pytest

from edgekit.model_kinds import find_kind


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (["archive/data.pkl", "archive/version"], "PyTorch"),
        (["config.json", "metadata.json", "model.weights.h5"], "Keras"),
        (["notes.txt"], None),
    ],
)
def test_archives_are_told_by_their_members(members, said, tmp_path) -> None:
    """PyTorch's and Keras's archives are told apart by what is in them; another archive is unknown."""
    path = tmp_path / "model"
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, b"\x00")
    kind = find_kind(path)
    assert (kind and said and said in kind.name) if said else kind is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (pickle.dumps([1, 2], protocol=2), "pickle"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1c\x00\x00\x00TFL3\x00", "TFLite"),
        (b'<?xml version="1.0"?>\n<net name="m" version="11">', "OpenVINO"),
        (b"epoch,loss\n1,0.5\n", "text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_files_are_told_by_their_first_bytes(data, said, tmp_path) -> None:
    """The kind of a file is told by its bytes, whatever its name, with a next step for its owner."""
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    kind = find_kind(path)
    assert kind is not None
    assert said in kind.name
    assert kind.remedy


def test_saved_model_is_told_from_another_directory(tmp_path) -> None:
    """A directory is a SavedModel when it has the file that makes it one."""
    assert "a directory" in getattr(find_kind(tmp_path), "name", "")
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert "SavedModel" in getattr(find_kind(tmp_path), "name", "")


def test_onnx_is_none_of_these(tmp_path) -> None:
    """Bytes that begin as ONNX does are of no other kind."""
    path = tmp_path / "model"
    path.write_bytes(b"\x08\x0a\x12\x07pytorch")
    assert find_kind(path) is None


def test_pipe_is_not_waited_for(tmp_path) -> None:
    """A pipe that nobody writes to is told as one at once."""
    os.mkfifo(tmp_path / "model.onnx")
    kind = find_kind(tmp_path / "model.onnx")
    assert kind is not None
    assert "pipe" in kind.name
