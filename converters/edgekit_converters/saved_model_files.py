"""What is looked at in a SavedModel before TensorFlow loads it.

Its graph is data, but operators of it may read and write files, call Python or open connections, and some of them run
while it is loaded. The file is walked as saved_model.proto, meta_graph.proto and graph.proto of TensorFlow name its parts.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import InputError
from edgekit.runtimes.wire_format import BrokenMessageError, list_fields
from edgekit_converters.tensorflow_operators import is_checkpoint, reaches_out

FILE = "saved_model.pb"
#: What tf.saved_model.save writes beside files of protobuf.
_FOLDERS = ("variables", "assets", "assets.extra")
_MAX_BYTES = (2 << 30) - 1
_OLD = "If you trust whoever made it, give the file that this writes: python -m tf2onnx.convert --saved-model DIR --opset 17 --output model.onnx."
_REMEDY = "Fetch or save it again: tf.saved_model.save(model, directory)."
_ARITHMETIC = "Save a function that takes and gives tensors, and does the rest outside of it."

# For each message the fields that hold messages on the way to a node, a signature or an object.
# fmt: off
_NESTED: dict[str, dict[int, str]] = {
    "SavedModel":         {2: "MetaGraph"},
    "MetaGraph":          {2: "Graph", 5: "Signature", 7: "Objects"},
    "Graph":              {1: "Node", 2: "Library"},
    "Library":            {1: "Function"},
    "Function":           {3: "Node"},
    "Objects":            {1: "Object"},
}
# fmt: on
_NAME, _OPERATOR, _KEY = 1, 2, 1
#: A resource that is made and filled by functions of the file while it is loaded: SavedObject.resource.
_RESOURCE = 10
_INITIALISER = "__saved_model_init_op"


@dataclass(frozen=True)
class Outline:
    """What a SavedModel has in it: *nodes* as pairs of a name and an operator, and the names of its *signatures*."""

    nodes: tuple[tuple[str, str], ...]
    signatures: tuple[str, ...]
    has_objects: bool
    has_resources: bool


def check_saved_model(directory: Path) -> None:
    """Refuse a SavedModel that is not whole, or that does more than arithmetic.

    Raises:
        InputError: the message names the node, or what is missing.
    """
    outline = read_outline(directory)
    if not outline.signatures:
        raise InputError(directory, "it has no signature, so nobody can tell what it takes", _REMEDY)
    for name, operator in outline.nodes:
        if reaches_out(operator) and not is_checkpoint(operator):
            raise InputError(directory, f"its node {name!r} is a {operator}, which does more than compute with its inputs", _ARITHMETIC)
    if outline.has_resources:
        raise InputError(directory, "it has lookup tables or other resources, for which ONNX and tf2onnx have nothing", _ARITHMETIC)
    if not outline.has_objects:
        # TensorFlow would run the graph's own operators to restore and initialise it.
        raise InputError(directory, "it was saved by TensorFlow 1, whose loader runs what is in the file", _OLD)


def list_files(directory: Path) -> tuple[Path, ...]:
    """The files of the SavedModel in *directory*, and no others that lie beside them.

    Raises:
        InputError: one is a pipe or a device, which nobody may ever finish reading.
    """
    places = [*directory.glob("*.pb"), *(place for folder in _FOLDERS for place in (directory / folder).rglob("*"))]
    for place in places:
        if not (place.is_file() or place.is_dir()):
            raise InputError(place, "it is a pipe, a device or a link to nothing, and no file of a SavedModel", _REMEDY)
    return tuple(sorted(place for place in places if place.is_file()))


def read_outline(directory: Path) -> Outline:
    """The outline of the SavedModel in *directory*; InputError where it is not whole."""
    path = directory / FILE
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(path, "it has more than 2 GiB, the most that one message may have", _REMEDY)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data)
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Give the directory that has it.") from error
    except (BrokenMessageError, ValueError) as error:
        # An empty file cannot be mapped, and a name may be no text.
        raise InputError(path, f"it is not a whole SavedModel: {error}", _REMEDY) from error


def _read(data: mmap.mmap) -> Outline:
    nodes, signatures = [], []
    has_objects = has_resources = False
    for kind, start, end in _walk(data):
        if kind == "Node":
            fields = _read_texts(data, start, end, (_NAME, _OPERATOR))
            nodes.append((fields.get(_NAME, ""), fields.get(_OPERATOR, "")))
        elif kind == "Signature":
            signatures.append(_read_texts(data, start, end, (_KEY,)).get(_KEY, ""))
        elif kind == "Object":
            has_objects = True
            has_resources |= any(field == _RESOURCE for field, _, _ in list_fields(data, start, end))
    return Outline(tuple(nodes), tuple(name for name in signatures if name != _INITIALISER), has_objects, has_resources)


def _walk(data: mmap.mmap) -> Iterator[tuple[str, int, int]]:
    """Each node, signature and object, and where its content lies."""
    # A list instead of recursion, and no message is inside another of its kind, so the walk ends.
    waiting = [("SavedModel", 0, len(data))]
    while waiting:
        kind, start, end = waiting.pop()
        if kind not in _NESTED:
            yield kind, start, end
            continue
        waiting += [(_NESTED[kind][field], first, last) for field, first, last in list_fields(data, start, end) if field in _NESTED[kind]]


def _read_texts(data: mmap.mmap, start: int, end: int, wanted: tuple[int, ...]) -> dict[int, str]:
    return {field: data[first:last].decode() for field, first, last in list_fields(data, start, end) if field in wanted}
