"""What kind of model a file is, by its bytes, where it is one that people bring and that is not ONNX."""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_HEAD = 512
#: As much of a pickle as names the classes that it brings back.
_START = 1 << 20


@dataclass(frozen=True)
class ModelKind:
    """A kind of file in words that follow "it is", and what its owner can do next."""

    name: str
    remedy: str


UNKNOWN_KIND = ModelKind("a file of no kind that is known", "Check the path.")


def find_kind(path: Path) -> ModelKind | None:
    """The kind of the file or directory at *path*; None where it is none of those known here, ONNX among them.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return next((kind for name, kind in _DIRECTORIES.items() if (path / name).is_file()), PLAIN_DIRECTORY)
    if path.exists() and not path.is_file():
        # To open a pipe is to wait for its other end.
        return _SPECIAL
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return next((kind for fits, kind in _KINDS if fits(head, path)), None)


def _holds_member(*endings: str, word: bytes = b"") -> Callable[[bytes, Path], bool]:
    """Whether the file is a ZIP archive with a member that ends so, and that has *word* near its start."""

    def fits(head: bytes, path: Path) -> bool:
        if not head.startswith(b"PK\x03\x04"):
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if name.endswith(endings)]
                return any(not word or word in _read_start(archive, name) for name in members)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
            return False  # a damaged archive is of no kind: whoever reads it tells what is wrong

    return fits


def _read_start(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        return member.read(_START)


def _starts_with(*magic: bytes) -> Callable[[bytes, Path], bool]:
    return lambda head, _: head.startswith(magic)


def _is_text(head: bytes, _: Path) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head) and b"\x7f" not in head


_SPECIAL = ModelKind("a pipe or a device, not a file", "Give the model's file.")
PLAIN_DIRECTORY = ModelKind("a directory", "Give the model's file.")
_SAVED_MODEL = ModelKind("a TensorFlow SavedModel", "Where converters are installed it is read: pip install 'edgekit[convert]'.")
_HUGGING_FACE = ModelKind("a Hugging Face model directory", "Where converters are installed it is read: pip install 'edgekit[convert,torch]'.")
#: Directories that are models, by a file that each has.
_DIRECTORIES = {"saved_model.pb": _SAVED_MODEL, "config.json": _HUGGING_FACE}
_UNPICKLED = "Unpickling it would run code in it"
_TORCH = f"{_UNPICKLED}. Give package.module:factory, a function that builds the model and loads this with torch.load(path, weights_only=True)."
_ULTRALYTICS = f"{_UNPICKLED}. Export it where it was trained: yolo export model=best.pt format=onnx."
_SCRIPT = "Export the model that it was made from: torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2')."
_KERAS = "Name it .keras, or .h5 where it is HDF5."

# The first row that fits decides, so text stands last.
# fmt: off
_KINDS: tuple[tuple[Callable[[bytes, Path], bool], ModelKind], ...] = (
    (lambda head, _: not head,                       ModelKind("empty", "Fetch or make it again.")),
    (_starts_with(b"version https://git-lfs"),       ModelKind("a pointer to a file in Git LFS", "Fetch the file itself: git lfs pull.")),
    (_holds_member("models/model.json"),             ModelKind("a PyTorch exported program", "Name it .pt2.")),
    (_holds_member("constants.pkl"),                 ModelKind("TorchScript, which would have to be unpickled and run", _SCRIPT)),
    (_holds_member("data.pkl", word=b"ultralytics"), ModelKind("a PyTorch pickle of Ultralytics", _ULTRALYTICS)),
    (_holds_member("data.pkl", "archive/version"),   ModelKind("a PyTorch pickle", _TORCH)),
    (_holds_member("model.weights.h5"),              ModelKind("a Keras model", _KERAS)),
    (_starts_with(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
                                                     ModelKind("a Python pickle, as old PyTorch writes it", _TORCH)),
    (_starts_with(b"\x89HDF\r\n\x1a\n"),             ModelKind("a Keras model in HDF5", _KERAS)),
    (lambda head, _: head[4:8] == b"TFL3",           ModelKind("a TFLite model", "Name it .tflite.")),
    (lambda head, _: b"<net " in head,               ModelKind("OpenVINO IR", "Name it .xml, with its .bin beside it.")),
    (_is_text,                                       ModelKind("text", "Check the path.")),
)
# fmt: on
