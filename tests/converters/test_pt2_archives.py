"""Archives of exported programs: raw tensors and a checked graph come out, and nothing that would be unpickled or loaded."""

import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit_converters.pt2_archives import is_exported_program, write_clean_archive

WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit(42)",)


def make_entry(**changes: Any) -> dict[str, Any]:
    sizes, strides = [{"as_int": 2}], [{"as_int": 1}]
    meta = {"dtype": 7, "sizes": sizes, "strides": strides, "storage_offset": {"as_int": 0}, "layout": 7, "device": {"type": "cuda", "index": 0}}
    return {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": meta} | changes


def make_members() -> dict[str, bytes]:
    graph = {"graph_module": {"graph": {}, "signature": {}, "module_call_graph": []}, "opset_version": {"aten": 10}}
    return {
        "models/model.json": json.dumps(graph).encode(),
        WEIGHTS: json.dumps({"config": {"w": make_entry()}}).encode(),
        CONSTANTS: json.dumps({"config": {}}).encode(),
        "data/weights/weight_0": bytes(8),
        "data/sample_inputs/model.pt": pickle.dumps(Evil()),
        "extra/notes.py": b"import os",
        "archive_format": b"pt2",
        "archive_version": b"0",
        ".data/version": b"3",
        "byteorder": b"little",
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """An archive of the given members, in a folder of its own as torch writes them."""

    def write_archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
        path = tmp_path / "given.pt2"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in members.items():
                archive.writestr(f"given/{name}", data)
        return path

    return write_archive


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_only_what_is_needed_comes_out(write, tmp_path) -> None:
    """Tensors and graph are copied; sample inputs, which are pickled, are empty, and other files are left behind."""
    write_clean_archive(write(make_members()), tmp_path / "clean.pt2")
    clean = read(tmp_path / "clean.pt2")
    assert set(clean) == set(make_members()) - {"extra/notes.py"}
    assert clean["data/sample_inputs/model.pt"] == b""
    assert clean["data/weights/weight_0"] == bytes(8)


def test_tensors_are_put_on_the_cpu(write, tmp_path) -> None:
    """Weights that were saved on a GPU are read on a machine without one."""
    write_clean_archive(write(make_members()), tmp_path / "clean.pt2")
    (entry,) = json.loads(read(tmp_path / "clean.pt2")[WEIGHTS])["config"].values()
    assert entry["tensor_meta"]["device"] == {"type": "cpu", "index": None}


@pytest.mark.parametrize(
    "changes",
    [{"use_pickle": True}, {"path_name": "opaque_obj_0"}, {"path_name": "custom_obj_0"}, {"tensor_meta": None}],
)
def test_pickled_tensors_are_refused(changes, write, tmp_path) -> None:
    """A weight or constant that torch would unpickle is refused by its name."""
    members = make_members() | {CONSTANTS: json.dumps({"config": {"table": make_entry(**changes)}}).encode()}
    with pytest.raises(InputError, match="'table' is pickled"):
        write_clean_archive(write(members), tmp_path / "clean.pt2")


def test_compiled_libraries_are_refused(write, tmp_path) -> None:
    """A library that AOTInductor compiled would be loaded into the process, so it is refused."""
    with pytest.raises(InputError, match="AOTInductor"):
        write_clean_archive(write(make_members() | {"data/aotinductor/model/wrapper.so": b"\x7fELF"}), tmp_path / "clean.pt2")


@pytest.mark.parametrize("name", [WEIGHTS, CONSTANTS])
def test_weights_of_older_archives_are_refused(name, write, tmp_path) -> None:
    """Before torch 2.9 weights were pickled as a whole; such a file is refused with what to do."""
    members = {key: data for key, data in make_members().items() if key != name}
    with pytest.raises(InputError, match=r"pickled.*torch\.export\.save"):
        write_clean_archive(write(members), tmp_path / "clean.pt2")


def test_absurd_shapes_are_refused(write, tmp_path) -> None:
    """A tensor of no bytes that is said to have a million elements would be made up of zeros, so it is refused."""
    members = make_members() | {"data/weights/weight_0": b""}
    entry = make_entry()
    entry["tensor_meta"]["sizes"] = [{"as_int": 1_000_000}]
    with pytest.raises(InputError, match="do not have"):
        write_clean_archive(write(members | {WEIGHTS: json.dumps({"config": {"w": entry}}).encode()}), tmp_path / "clean.pt2")


def test_zip_bombs_are_refused(write, tmp_path) -> None:
    """A graph that unpacks to hundreds of mebibytes is refused by its declared size, before it is unpacked."""
    bomb = make_members() | {"models/model.json": bytes(300 << 20)}
    path = write(bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="256 MiB"):
        write_clean_archive(path, tmp_path / "clean.pt2")


@pytest.mark.parametrize("cut", [0, 10, 400, 1000])
def test_truncated_archives_are_refused(cut, write, tmp_path) -> None:
    """A file that is cut off anywhere is no exported program."""
    path = write(make_members())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="no whole exported program"):
        write_clean_archive(path, tmp_path / "clean.pt2")
    assert not is_exported_program(path)


def test_programs_are_told_from_other_archives(write, tmp_path) -> None:
    """An archive is an exported program when it has a graph, and a directory never is."""
    assert is_exported_program(write(make_members()))
    assert not is_exported_program(write({"data.pkl": b"\x80\x02."}))
    assert not is_exported_program(tmp_path)


def test_damaged_bytes_are_read_or_refused(write, tmp_path) -> None:
    """With any few bytes changed a program is either read or refused; nothing else happens."""
    path = write(make_members())
    data = path.read_bytes()
    outcomes = set()
    for seed in range(300):
        chance = random.Random(seed)
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        is_exported_program(path)
        try:
            write_clean_archive(path, tmp_path / "clean.pt2")
            outcomes.add("read")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
