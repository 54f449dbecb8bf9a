"""YOLO's form (https://docs.ultralytics.com/datasets/detect/): data.yaml, pictures under images/, a text for each under labels/."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np

from edgekit.datasets.base import BadSample, Boxes, Sample
from edgekit.datasets.boxes import check_boxes, read_size
from edgekit.datasets.folders import PICTURES, check_path, find_inside, is_too_long, list_files, list_folders, read_bounded, read_inside
from edgekit.errors import InputError, UnknownName
from edgekit.processing.libraries import load_library

#: A description has names and paths, and the labels of a picture a line for each object.
MAX_BYTES = 1 << 18
MAX_LABEL_BYTES = 4 << 20
#: The most classes, where nothing names them: as many as a contract may have labels.
MAX_CLASSES = 100_000
_REMEDY = "Write it as Ultralytics does: names, and train, val or test with folders of pictures."


class _Yaml(msgspec.Struct):
    """What is read of data.yaml, all of it as text."""

    names: list[str] | dict[int, str] = []
    path: str = ""
    train: str | list[str] = []
    val: str | list[str] = []
    test: str | list[str] = []

    def describe(self) -> "_Description":
        """It in one form; ValueError where classes are not numbered from 0 on."""
        names = dict(enumerate(self.names)) if isinstance(self.names, list) else self.names
        if sorted(names) != list(range(len(names))):
            raise ValueError(f"its names have the numbers {sorted(names)[:10]}, and 0 to {len(names) - 1} are expected")
        parts = {"train": self.train, "val": self.val, "test": self.test}
        folders = {name: (part,) if isinstance(part, str) else tuple(part) for name, part in parts.items()}
        ordered = tuple(names[number] for number in range(len(names)))
        return _Description(ordered, self.path, {name: tuple(filter(None, part)) for name, part in folders.items() if any(part)})


@dataclass(frozen=True)
class _Description:
    """The *names* of classes, and the folders of each of *parts* relative to *path*."""

    names: tuple[str, ...]
    path: str
    parts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class YoloSamples:
    """Pictures below *root*, each with the objects of its text; one without a text has none.

    *renumbered* has the class of each number in the texts, where the contract names its classes in another order; None
    where any number is a class.
    """

    path: Path
    root: Path
    feature: str
    keys: tuple[str, ...]
    classes: tuple[str, ...]
    renumbered: Mapping[int, int] | None
    files: tuple[Path, ...]
    kind: str = "yolo"

    def read(self, key: str) -> Sample:
        """The picture *key* with its objects; BadSample where it cannot be read, a line is none of an object, or a box cannot be in it."""
        data = read_inside(self.root, key)
        size = read_size(key, data)
        return Sample(key, {self.feature: data}, check_boxes(key, size, self._read_objects(key, size)))

    def _read_objects(self, key: str, size: tuple[int, int]) -> Boxes:
        labels = find_labels(key)
        text = b"" if not (self.root / labels).exists() else read_inside(self.root, labels, MAX_LABEL_BYTES, empty=True)
        rows = [_parse_line(key, line.split()) for line in text.splitlines() if line.strip()]
        classes = [self._find_class(key, number) for number, _ in rows]
        shares = np.array([box for _, box in rows], np.float64).reshape(-1, 4)
        return Boxes(shares * [*size, *size], np.array(classes, np.int64), np.zeros(len(rows), bool))

    def _find_class(self, key: str, number: int) -> int:
        count = MAX_CLASSES if self.renumbered is None else len(self.renumbered)
        if not 0 <= number < count:
            raise BadSample(key, f"an object is of the class {number}, and there are {count}", "Correct its label.")
        return number if self.renumbered is None else self.renumbered[number]

    def find_file(self, key: str) -> Path | None:
        """The picture's file, or None where it is not there or lies elsewhere."""
        try:
            return find_inside(self.root, key)
        except BadSample:
            return None

    def find_class(self, key: str) -> int | None:  # noqa: ARG002 - a picture may have objects of many
        """None: a picture may have objects of many classes."""
        return None


def open_yolo(path: Path, feature: str, labels: Sequence[str] = (), split: str | None = None) -> YoloSamples:
    """The pictures of ``data.yaml`` at *path*, or of the folder *path* with ``images/`` and ``labels/``.

    Those of *split* are taken, or of all splits. Where the contract has *labels*, names are numbered by them.

    Raises:
        InputError: it is no such description, names what is not inside its folder, has no pictures, or classes that *labels* lack.
    """
    root = path if path.is_dir() else path.parent
    description = _describe_folder(path) if path.is_dir() else _read_description(path)
    base = _find_base(root, description)
    keys = tuple(sorted({key for part in _choose_parts(path, description, split) for key in _list_part(path, root, base, part)}))
    if not keys:
        raise InputError(path, f"its folders have no pictures ({' '.join(PICTURES)})", _REMEDY)
    classes, renumbered = _number(path, description.names, labels)
    return YoloSamples(path, root, feature, keys, classes, renumbered, () if path.is_dir() else (path,))


def find_labels(key: str) -> str:
    """The text for the picture *key*: in ``labels`` where that is in ``images``, the last so called, and else beside it."""
    parts = PurePosixPath(key).with_suffix(".txt").parts
    last = max((index for index, part in enumerate(parts[:-1]) if part == "images"), default=None)
    return PurePosixPath(*(part if index != last else "labels" for index, part in enumerate(parts))).as_posix()


def _describe_folder(path: Path) -> _Description:
    parts = {name: (f"images/{name}",) for name in list_folders(path / "images")}
    return _Description((), "", parts)


def _read_description(path: Path) -> _Description:
    yaml = load_library("yaml", "evaluate")
    data = read_bounded(path, MAX_BYTES)
    try:
        # The base loader makes text of everything. Others multiply by aliases and merged keys what is small in the file.
        return msgspec.convert(yaml.load(data, Loader=yaml.BaseLoader), _Yaml, strict=False).describe()
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(path, f"it is no description of a YOLO set: {error}", _REMEDY) from error


def _choose_parts(path: Path, description: _Description, split: str | None) -> list[str]:
    if split is None and path.is_dir():
        return ["images"]
    if split is None:
        return [folder for part in description.parts.values() for folder in part]
    if split not in description.parts:
        raise UnknownName(f"part of {path}", split, description.parts)
    return list(description.parts[split])


def _find_base(root: Path, description: _Description) -> PurePosixPath:
    """The folder from which parts are named, relative to *root*: what the description calls its path, where that is inside.

    It often names a place on the machine that wrote it, which is nothing here.
    """
    named = PurePosixPath(description.path)
    inside = not named.is_absolute() and ".." not in named.parts and not is_too_long(description.path) and (root / named).is_dir()
    return named if inside else PurePosixPath()


def _list_part(path: Path, root: Path, base: PurePosixPath, part: str) -> list[str]:
    """The pictures of one folder, or of those that a text names, relative to *root*."""
    # Some tools name the folder of pictures as if the description lay one deeper.
    name = check_path((base / part.removeprefix("../")).as_posix(), path)
    place = root / name
    if place.is_dir() and place.resolve().is_relative_to(root.resolve()):
        return [key if name == "." else f"{name}/{key}" for key in list_files(place, PICTURES)]
    if place.suffix == ".txt" and place.is_file():
        lines = read_inside(root, name).decode("utf-8", "replace").splitlines()
        return [check_path((base / line.strip()).as_posix(), place) for line in lines if line.strip()]
    raise InputError(path, f"it names {part!r}, and there is no such folder beside it", "Name folders relative to the description.")


def _number(path: Path, names: Sequence[str], labels: Sequence[str]) -> tuple[tuple[str, ...], dict[int, int] | None]:
    """The names of classes, and the class of each number in the texts."""
    if not labels or not names:
        known = tuple(labels or names)
        return known, {number: number for number in range(len(known))} if known else None
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise InputError(path, f"its names {', '.join(unknown[:5])} are none of the contract's labels", "Correct the one or the other.")
    return tuple(labels), {number: labels.index(name) for number, name in enumerate(names)}


def _parse_line(key: str, cells: Sequence[bytes]) -> tuple[int, tuple[float, float, float, float]]:
    """The class of one object, and its box as shares of the picture: a box is given by its middle and size, or by a polygon round it."""
    try:
        number, figures = int(cells[0]), [float(cell) for cell in cells[1:]]
    except ValueError as error:
        raise BadSample(key, f"a line of its labels has what is no number: {error}", "Write a class and four shares.") from error
    if len(figures) == 4:
        x, y, width, height = figures
        return number, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(figures) < 6 or len(figures) % 2:
        raise BadSample(key, f"a line of its labels has {len(cells)} numbers", "Write a class and four shares, or the corners of a polygon.")
    return number, (min(figures[::2]), min(figures[1::2]), max(figures[::2]), max(figures[1::2]))
