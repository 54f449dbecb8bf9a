"""What is looked at in a Keras file before Keras builds anything of it.

A file names its layers by class, and some classes bring or fetch code or data: a Lambda has Python's byte code in it, and
other layers name a module, a function of TensorFlow or a path. Keras refuses some of these in safe mode, tf_keras few.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from edgekit.errors import InputError
from edgekit_converters.tensorflow_operators import reaches_out

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MAX_CONFIG = 64 << 20
#: The most that a file may unpack to, in bytes: a model of 2 GiB with the state of its optimiser.
MAX_WEIGHTS = 8 << 30
#: How many times its own size an archive may unpack to, beyond a first part. Trained weights hardly shrink.
_MAX_RATIO, _FREE = 20, 64 << 20
#: The largest number in a layer's configuration: more elements than that are in no tensor on a device.
_MAX_NUMBER = 1 << 40

_DAMAGED = "Fetch it or save it again."
_WITHOUT_CODE = "Build the model from Keras's own layers, or export it to ONNX yourself. If you trust whoever made it: --unsafe-allow-code."
_ONLY_KERAS = "Build the model from Keras's own layers, or export it to ONNX yourself."

_CODE = ("Lambda", "__lambda__")
#: Layers that load a model of another framework, or TensorFlow's own, from a path.
_LOADERS = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
#: Functions of TensorFlow that a model may call by name as a layer (TFOpLambda): arithmetic, and nothing that reaches out.
_MODULES = r"math|nn|linalg|image|signal|bitwise|random|__operators__|compat\.v1|keras\.(backend|activations|ops)"
_FUNCTIONS = re.compile(rf"(({_MODULES})\.)?(?!load_)[a-z_][a-z0-9_]*")


def read_config(path: Path) -> str:
    """The text of ``config.json`` in the ``.keras`` archive at *path*, once it is known to unpack to no more than it should.

    Raises:
        InputError: it is no such archive, is damaged, or is a zip bomb.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            return archive.read(_CONFIG).decode()
    except InputError:
        raise
    except Exception as error:
        # A damaged archive raises BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError and more.
        raise InputError(path, f"it is not a whole Keras file: {error}", _DAMAGED) from error


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    for name in (_CONFIG, _WEIGHTS):
        if names.count(name) != 1:
            raise InputError(path, f"it is not a Keras model: it has {names.count(name)} members called {name}", _DAMAGED)
    outside = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name]
    if outside:
        raise InputError(path, f"its member {outside[0]!r} leads out of the archive", _DAMAGED)
    odd = [member.filename for member in members if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    if odd:
        raise InputError(path, f"its member {odd[0]!r} is compressed in a way that Keras never uses", _DAMAGED)
    total, limit = sum(member.file_size for member in members), min(MAX_WEIGHTS, _FREE + _MAX_RATIO * path.stat().st_size)
    if total > limit or archive.getinfo(_CONFIG).file_size > _MAX_CONFIG:
        raise InputError(path, f"it would unpack to {total >> 20} MiB, and at most {limit >> 20} MiB are expected of its size", _DAMAGED)


def check_config(text: str | None, path: Path, *, allow_code: bool) -> None:
    """Refuse the configuration *text* of the model at *path* where a layer in it is more than Keras's own arithmetic.

    *allow_code* lets through what brings its own code.

    Raises:
        InputError: the message names the layer, and what it would do.
    """
    if text is None:
        raise InputError(path, "it has weights and no model", "Save the whole model: model.save('model.keras').")
    try:
        config = json.loads(text)
        parts = list(_list_parts(config))
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"its configuration is not JSON: {error}", _DAMAGED) from error
    if not parts:
        raise InputError(path, "its configuration names no layers", _DAMAGED)
    for part in parts:
        _check_part(_Part(part), path, allow_code=allow_code)


def _list_parts(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of *config* that names a class, wherever it is."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("class_name"), str):
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


class _Part:
    """An object of a configuration: its class, its own configuration, and words for it."""

    def __init__(self, part: Mapping[str, Any]) -> None:
        self.kind: str = part["class_name"]
        self.module: Any = part.get("module")
        self.registered: Any = part.get("registered_name")
        inner = part.get("config")
        self.config: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
        name = self.config.get("name") or part.get("name")
        self.title = f"{self.kind} {name!r}" if isinstance(name, str) else self.kind


def _check_part(part: _Part, path: Path, *, allow_code: bool) -> None:
    code = _find_code(part)
    if code is not None and not allow_code:
        raise InputError(path, f"its {part.title} {code}", _WITHOUT_CODE)
    fault = _find_reach(part) or _find_fault(part)
    if fault is not None:
        raise InputError(path, f"its {part.title} {fault}", _ONLY_KERAS)


def _find_code(part: _Part) -> str | None:
    if part.kind in _CODE:
        return "has Python code in it, which would run here"
    if isinstance(part.module, str) and not re.fullmatch(r"((tf_)?keras(\..*)?|builtins|)", part.module):
        return f"is of the module {part.module!r}, whose code would run here"
    return None


def _find_reach(part: _Part) -> str | None:
    """How *part* would reach a file, another package or the network; None where it does not."""
    if part.kind in _LOADERS:
        return "loads another model by its path"
    if ">" in f"{part.kind}{part.registered}":
        return f"is a class of somebody's own ({part.registered or part.kind}), whose code is not in the file"
    if isinstance(part.config.get("vocabulary"), str):
        return f"takes its vocabulary from the file {part.config['vocabulary']!r}"
    function = part.config.get("function")
    if part.kind in ("TFOpLambda", "SlicingOpLambda") and not _is_arithmetic(function):
        return f"calls TensorFlow's {function!r}"
    if part.kind == "TensorFlowOpLayer":
        return "has a node of TensorFlow's graph in it, which cannot be checked"
    return None


def _is_arithmetic(function: Any) -> bool:
    return isinstance(function, str) and _FUNCTIONS.fullmatch(function) is not None and not reaches_out(function.rpartition(".")[2])


def _find_fault(part: _Part) -> str | None:
    if part.config.get("stateful") is True:
        return "keeps state from one call to the next (stateful=True), which no variant could"
    for field, value in part.config.items():
        sizes = value if isinstance(value, list) else [value]
        if any(isinstance(size, int) and abs(size) > _MAX_NUMBER for size in sizes):
            return f"has the {field} {value}, and the limit is {_MAX_NUMBER}"
    return None
