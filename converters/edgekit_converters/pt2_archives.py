"""Exported programs (``.pt2``), taken apart without torch: only numbers and a graph that was checked come out.

torch.export.load unpickles sample inputs, constants and weights where a file says so, and loads compiled libraries that
lie in it (torch/export/pt2_archive/_package.py, torch 2.13). So a file that comes from anybody is never given to it: what
it needs, raw tensors and the graph, is copied into a new archive, and nothing else is.
"""

import json
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit_converters.pt2_graphs import clean_program

Json = Any

#: One ONNX file, which every program becomes, holds no more.
MAX_BYTES = (2 << 30) - 1
_MAX_ELEMENTS = 1 << 30
_MAX_MEMBERS = 100_000
#: A graph of a thousand nodes has about a mebibyte.
_MAX_GRAPH_BYTES = 256 << 20
_MODELS, _GRAPH = "models/", "models/model.json"
_PAYLOADS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_NOTES = ("archive_format", "archive_version", ".data/version", "byteorder")
_COMPILED = "data/aotinductor/"
#: torch.export.save writes tensors under these names; a pickled object has another (pt2_archive_constants.h).
_TENSOR_FILES = ("weight_", "tensor_")

_EXPORT = "Export it again with torch.export.save, torch 2.9 or newer, with its weights as plain dense tensors."
_DAMAGED = "Fetch it or export it again."


def is_exported_program(path: Path) -> bool:
    """Whether *path* is an archive with the graph of an exported program in it."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_within(name).startswith(_MODELS) and name.endswith(".json") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False  # a damaged archive is not known for one


def write_clean_archive(path: Path, clean: Path) -> None:
    """Write the exported program at *path* to *clean*, with no more than its graph and its raw tensors.

    Raises:
        InputError: it is damaged, or holds what would have to be unpickled, loaded as a library, or run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _Cleaner(path, archive).write(clean)
    except InputError:
        raise
    except Exception as error:
        # A damaged archive raises BadZipFile, zlib.error, NotImplementedError, KeyError and more, which have no common root.
        raise InputError(path, f"it is no whole exported program: {type(error).__name__}: {error}", _DAMAGED) from error


class _Cleaner:
    """Copies one archive, member by member."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._members = {_within(info.filename): info for info in archive.infolist()}

    def write(self, clean: Path) -> None:
        """Check the archive from its outline inwards, and write *clean*."""
        self._check_outline()
        graph = clean_program(self._read_json(_GRAPH), self._path)
        payloads = {name: self._clean_payload(name) for name in _PAYLOADS}
        with zipfile.ZipFile(clean, "w") as target:
            _write_json(target, _GRAPH, graph)
            for name, payload in payloads.items():
                _write_json(target, name, payload)
                for file in sorted({entry["path_name"] for entry in payload["config"].values()}):
                    self._copy(target, f"{Path(name).parent}/{file}")
            for name in _NOTES:
                self._copy(target, name)
            # No sample inputs: torch would unpickle them, and they are made anew.
            target.writestr("model/data/sample_inputs/model.pt", b"")

    def _check_outline(self) -> None:
        if len(self._members) > _MAX_MEMBERS or sum(info.file_size for info in self._members.values()) > MAX_BYTES:
            raise InputError(self._path, "unpacked it has more than 2 GiB, which no ONNX file holds", "Give a smaller model.")
        if any(name.startswith(_COMPILED) for name in self._members):
            raise InputError(self._path, "it holds a library compiled by AOTInductor, which would have to be run", _EXPORT)
        if _GRAPH not in self._members:
            found = [name for name in self._members if name.startswith(_MODELS)]
            raise InputError(self._path, f"it has no {_GRAPH}, but {found or 'an older layout'}", _EXPORT)

    def _read_json(self, name: str) -> Json:
        if self._members[name].file_size > _MAX_GRAPH_BYTES:
            raise InputError(self._path, f"its {name} has more than {_MAX_GRAPH_BYTES >> 20} MiB", _EXPORT)
        return json.loads(self._archive.read(self._members[name]))

    def _clean_payload(self, name: str) -> Json:
        """The tensors that *name* lists; their dtypes and shapes are torch's own JSON, all of it numbers."""
        if name not in self._members:
            raise InputError(self._path, f"its weights are not in {name}, but pickled", _EXPORT)
        config = self._read_json(name)["config"]
        return {"config": {str(key): self._clean_entry(f"{Path(name).parent}", str(key), entry) for key, entry in config.items()}}

    def _clean_entry(self, folder: str, key: str, entry: Json) -> Json:
        file, meta = entry["path_name"], entry["tensor_meta"]
        if entry["use_pickle"] or not file.startswith(_TENSOR_FILES) or meta is None:
            raise InputError(self._path, f"its tensor {key[:80]!r} is pickled, and unpickling runs code", _EXPORT)
        sizes: list[int] = [_read_size(size) for size in meta["sizes"]]
        elements = math.prod(sizes, start=1)
        if elements > _MAX_ELEMENTS or (elements and self._members[f"{folder}/{file}"].file_size == 0):
            raise InputError(self._path, f"its tensor {key[:80]!r} is said to have the shape {sizes}, which its data do not have", _DAMAGED)
        clean_meta = {
            "dtype": int(meta["dtype"]),
            "sizes": [{"as_int": size} for size in sizes],
            "requires_grad": False,
            "device": {"type": "cpu", "index": None},
            "strides": [{"as_int": _read_size(stride)} for stride in meta["strides"]],
            "storage_offset": {"as_int": _read_size(meta["storage_offset"])},
            "layout": int(meta["layout"]),
        }
        return {"path_name": file, "is_param": bool(entry["is_param"]), "use_pickle": False, "tensor_meta": clean_meta}

    def _copy(self, target: zipfile.ZipFile, name: str) -> None:
        with self._archive.open(self._members[name]) as source, target.open(f"model/{name}", "w", force_zip64=True) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)


def _within(name: str) -> str:
    """*name* without the archive's own folder, which all members lie in."""
    return name.partition("/")[2]


def _read_size(size: Json) -> int:
    number = size["as_int"]
    if not isinstance(number, int) or not 0 <= number <= _MAX_ELEMENTS:
        raise ValueError(f"{number!r} is no size")
    return number


def _write_json(target: zipfile.ZipFile, name: str, value: Json) -> None:
    target.writestr(f"model/{name}", json.dumps(value))
