"""Whether a file is whole OpenVINO IR, looked at before OpenVINO reads it.

IR is XML, with its constants in a ``.bin`` of the same name: each layer of type ``Const`` says where its bytes lie. Both
may come from anybody. Entities, layers of custom extensions, places outside of the ``.bin`` and tensors that no machine
holds are refused here, in time and memory that the file's own length bounds (OpenVINO, "IR Overview": operation sets and
the layout of the two files).
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from edgekit.errors import InputError

#: The largest graph that was seen, a language model of 80 blocks, has 8 MiB of XML.
MAX_XML_BYTES = 64 << 20
#: The most elements that one tensor may have: 4 GiB of float32.
MAX_ELEMENTS = 1 << 30
#: Bodies of loops and branches lie inside one another; nine elements each.
_MAX_DEPTH = 200
#: The versions of IR that OpenVINO reads since 2022.1.
_VERSIONS = ("10", "11")
_OPSET = re.compile(r"opset[0-9]{1,3}")
_SIZE = re.compile(r"-1|[0-9]{1,15}")
_LONGEST_SIZE = 16
_DAMAGED = "Fetch or make it again."

# Bits of one element, by OpenVINO's name of its type. A string has no fixed length.
# fmt: off
_BITS: dict[str, int] = {
    "boolean": 8, "string": 0, "f4e2m1": 4, "f8e4m3": 8, "f8e5m2": 8, "f8e8m0": 8, "nf4": 4, "f16": 16, "bf16": 16, "f32": 32, "f64": 64,
    "i4": 4, "i8": 8, "i16": 16, "i32": 32, "i64": 64,
    "u1": 1, "u2": 2, "u3": 3, "u4": 4, "u6": 6, "u8": 8, "u16": 16, "u32": 32, "u64": 64,
}
# fmt: on
_WEIGHTS = tuple(kind for kind in _BITS if kind not in ("boolean", "string", "i16", "i32", "i64", "u1", "u16", "u32", "u64"))


@dataclass(frozen=True)
class Outline:
    """What a checked graph has.

    *layers* counts them by type, and *elements* those of all constants by OpenVINO's name of their type. *options* are
    those that the file brings for the runtime, such as ``DYNAMIC_QUANTIZATION_GROUP_SIZE``.
    """

    layers: dict[str, int]
    elements: dict[str, int]
    options: dict[str, str]

    @property
    def weights(self) -> str:
        """The type in which most weights are stored; ``f32`` where there are none. Integers of 16 bits and more are sizes and indices."""
        stored = {kind: count for kind, count in self.elements.items() if kind in _WEIGHTS}
        return max(stored, key=lambda kind: stored[kind], default="f32")


def check_openvino(path: Path) -> Outline:
    """The outline of the IR whose ``.xml`` is at *path*.

    Raises:
        InputError: it is no IR, not whole, or something in it is not to be trusted; the message names the layer.
    """
    weights = path.with_suffix(".bin")
    try:
        data = _read_graph(path)
        stored = weights.stat().st_size if weights.is_file() else None
    except OSError as error:
        raise InputError(path, f"it cannot be read: {error.strerror}", "Check the path.") from error
    return _Walk(path, stored).check(data)


def _read_graph(path: Path) -> bytes:
    length = path.stat().st_size
    if length > MAX_XML_BYTES:
        problem = f"it has {length >> 20} MiB, and the graph of a model has at most {MAX_XML_BYTES >> 20} MiB"
        raise InputError(path, problem, "Keep weights in the .bin file.")
    data = path.read_bytes()
    if not data.lstrip().startswith((b"<?xml", b"<net")):
        raise InputError(path, "it is not OpenVINO IR, which begins with <?xml", "Give the .xml file that OpenVINO's save_model wrote.")
    return data


@dataclass
class _Walk:
    """One pass over the elements of the XML. *stored* is the length of the ``.bin``; None where there is none."""

    path: Path
    stored: int | None
    _layers: dict[str, int] = field(default_factory=dict)
    _constants: dict[str, int] = field(default_factory=dict)
    _options: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _layer: dict[str, str] = field(default_factory=dict)
    _text: str = ""
    _elements: int = 1

    def check(self, data: bytes) -> Outline:
        """The outline of what *data* says."""
        # Whatever encoding the file claims, OpenVINO reads UTF-8, and Python would look up a codec by the file's word.
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._read_text
        # What save_model writes has no document type, and a document type is where entities that multiply are declared.
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        try:
            parser.ParseFile(io.BytesIO(data))
        except expat.ExpatError as error:
            raise InputError(self.path, f"it is not whole OpenVINO IR: {error}", _DAMAGED) from error
        return Outline(self._layers, self._constants, self._options)

    def _refuse(self, problem: str, remedy: str = _DAMAGED) -> InputError:
        return InputError(self.path, problem, remedy)

    def _refuse_doctype(self, *_: Any) -> None:
        raise self._refuse("it declares a document type, which OpenVINO IR never has", "Save the model again with openvino.save_model.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open:
            self._check_root(name, attributes)
        self._open.append(name)
        if len(self._open) > _MAX_DEPTH:
            raise self._refuse(f"its elements lie more than {_MAX_DEPTH} deep inside one another")
        if name == "layer":
            self._start_layer(attributes)
        elif name == "data" and self._open[-2:-1] == ["layer"]:
            self._check_data(attributes)
        elif name in ("port", "dim"):
            self._start_size(name)
        elif self._open[-2:-1] == ["runtime_options"]:
            self._options[name] = attributes.get("value", "")
        elif name == "__weights_path":
            raise self._refuse("it names a file for its weights, and they are read from the .bin beside it alone")

    def _check_root(self, name: str, attributes: dict[str, str]) -> None:
        if name != "net":
            raise self._refuse(f"it is XML with the root <{name}>, and OpenVINO IR has the root <net>", "Give the .xml that save_model wrote.")
        found = attributes.get("version", "")
        if found not in _VERSIONS:
            remedy = "Convert the model again with OpenVINO 2022.1 or newer."
            raise self._refuse(f"it is OpenVINO IR of version {found!r}, and versions {' and '.join(_VERSIONS)} are read", remedy)

    def _start_layer(self, attributes: dict[str, str]) -> None:
        self._layer = attributes
        kind, version = attributes.get("type", ""), attributes.get("version", "")
        if not _OPSET.fullmatch(version):
            problem = f"its layer {self._name()} is of {version!r}, which is no operation set of OpenVINO: custom operators would need a library"
            raise self._refuse(problem, "Export the model with OpenVINO's own operators.")
        self._layers[kind] = self._layers.get(kind, 0) + 1

    def _name(self) -> str:
        return f"{self._layer.get('name', '')[:100]!r} ({self._layer.get('type', '')[:100]})"

    def _check_data(self, attributes: dict[str, str]) -> None:
        kind = self._layer.get("type")
        if kind == "Const":
            self._check_constant(attributes)
        elif kind == "Parameter":
            self._count([bound for size in attributes.get("shape", "").split(",") for bound in size.split("..")])

    def _check_constant(self, attributes: dict[str, str]) -> None:
        element_type = attributes.get("element_type", "")
        if element_type not in _BITS:
            raise self._refuse(f"its layer {self._name()} has elements of the unknown type {element_type!r}")
        elements = self._count(attributes.get("shape", "").split(","))
        offset, size = (self._read_number(attributes.get(name, "-1")) for name in ("offset", "size"))
        needed = math.ceil(elements * _BITS[element_type] / 8)
        if offset < 0 or size < needed:
            raise self._refuse(f"its layer {self._name()} has {size} bytes from byte {offset} on, and its shape needs {needed}")
        self._check_stored(offset + size)
        self._constants[element_type] = self._constants.get(element_type, 0) + elements

    def _check_stored(self, end: int) -> None:
        weights = self.path.with_suffix(".bin").name
        if self.stored is None:
            raise self._refuse(f"its weights are not here: there is no {weights}", f"Put {weights} beside it; OpenVINO IR is two files.")
        if end > self.stored:
            problem = f"its layer {self._name()} ends at byte {end} of {weights}, which has {self.stored}"
            raise self._refuse(problem, "Fetch both files again: they do not belong together, or one is cut off.")

    def _count(self, sizes: list[str]) -> int:
        """The number of elements of a shape, with one for each size that may vary."""
        elements = 1
        for text in sizes:
            elements *= self._read_size(text)
        self._check_elements(elements)
        return elements

    def _read_size(self, text: str) -> int:
        stripped = text.strip()
        return 1 if stripped in ("", "?", "...", "-1") else self._read_number(stripped)

    def _read_number(self, text: str) -> int:
        if not _SIZE.fullmatch(text):
            raise self._refuse(f"its layer {self._name()} has {text[:_LONGEST_SIZE]!r} where a size is expected")
        return int(text)

    def _check_elements(self, elements: int) -> None:
        if elements > MAX_ELEMENTS:
            raise self._refuse(f"its layer {self._name()} has {elements} elements, and the limit is {MAX_ELEMENTS}", "Give a smaller model.")

    def _start_size(self, name: str) -> None:
        self._text = ""
        if name == "port":
            self._elements = 1

    def _read_text(self, text: str) -> None:
        if self._open[-1] == "dim":
            # Sizes are short; longer texts would be put together again and again.
            self._text = (self._text + text)[: _LONGEST_SIZE + 1]

    def _end(self, name: str) -> None:
        self._open.pop()
        if name == "dim":
            self._elements *= self._read_size(self._text)
            self._check_elements(self._elements)
