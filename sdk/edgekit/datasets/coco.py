"""COCO's JSON (https://cocodataset.org/#format-data): pictures, objects with boxes, and categories."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgekit.arrays import Array
from edgekit.datasets.base import BadSample, Boxes, Sample
from edgekit.datasets.boxes import check_boxes, read_size
from edgekit.datasets.folders import check_path, find_inside, read_bounded, read_inside
from edgekit.errors import InputError

#: The annotations of COCO's own 118,000 training pictures have 448 MB.
MAX_BYTES = 500_000_000
_REMEDY = "Give a file with images, annotations and categories, as COCO's instances_val2017.json."


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str
    width: int | None = None
    height: int | None = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float] | None = None
    iscrowd: int = 0


class _Category(msgspec.Struct):
    id: int
    name: str


class _File(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


@dataclass(frozen=True)
class CocoSamples:
    """The pictures of one file. The objects of picture *i* are the rows *starts*[i] to *starts*[i + 1] of *objects*.

    *places* has the number of each picture by its key, and *sizes* (width, height) what the file says of them, 0 where it does
    not. *objects* are boxes as x, y of two corners.
    """

    path: Path
    root: Path
    feature: str
    keys: tuple[str, ...]
    classes: tuple[str, ...]
    places: dict[str, int]
    sizes: Array
    starts: Array
    objects: Boxes
    kind: str = "coco"

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of annotations."""
        return (self.path,)

    def read(self, key: str) -> Sample:
        """The picture *key* with its objects; BadSample where it cannot be read, or a box cannot be in it."""
        data, place = read_inside(self.root, key), self.places[key]
        size, (width, height) = read_size(key, data), self.sizes[place]
        if (width and width != size[0]) or (height and height != size[1]):
            problem = f"it is {size[0]} x {size[1]} pixels large, and {self.path.name} says {width} x {height}"
            raise BadSample(key, problem, "Correct the annotations: boxes are in pixels of the picture as it is shown.")
        rows = slice(self.starts[place], self.starts[place + 1])
        objects = Boxes(self.objects.corners[rows], self.objects.classes[rows], self.objects.crowds[rows])
        return Sample(key, {self.feature: data}, check_boxes(key, size, objects))

    def find_file(self, key: str) -> Path | None:
        """The picture's file, or None where it is not there or lies elsewhere."""
        try:
            return find_inside(self.root, key)
        except BadSample:
            return None

    def find_class(self, key: str) -> int | None:  # noqa: ARG002 - a picture may have objects of many
        """None: a picture may have objects of many classes."""
        return None


def open_coco(path: Path, feature: str, labels: Sequence[str] = ()) -> CocoSamples:
    """The pictures and objects that *path* names.

    Classes are numbered by *labels*, the contract's, by their names, and without in the order of the categories' ids, from 0
    on. Pictures lie beside the file, in ``images/`` or a folder named in the file's name, there or one folder up.

    Raises:
        InputError: it is no such file, its pictures are nowhere, or what it says contradicts itself; the message names the entry.
    """
    content = _decode(path)
    if not content.images:
        raise InputError(path, "it names no pictures", _REMEDY)
    keys = _check_images(path, content.images)
    numbers, classes = _number_categories(path, content.categories, labels)
    places = {image.id: place for place, image in enumerate(content.images)}
    starts, objects = _sort_objects(path, content.annotations, places, numbers)
    sizes = np.array([(image.width or 0, image.height or 0) for image in content.images])
    numbered = {key: place for place, key in enumerate(keys)}
    return CocoSamples(path, _find_pictures(path, keys), feature, keys, classes, numbered, sizes, starts, objects)


def _decode(path: Path) -> _File:
    try:
        return msgspec.json.decode(read_bounded(path, MAX_BYTES), type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(path, f"it is no COCO file: {error}", _REMEDY) from error


def _check_images(path: Path, images: Sequence[_Image]) -> tuple[str, ...]:
    """The keys of *images*, each there once, as their ids are."""
    keys = tuple(check_path(image.file_name, path) for image in images)
    named: tuple[tuple[str, Sequence[int | str]], ...] = (("id", [image.id for image in images]), ("file", keys))
    for what, values in named:
        twice, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise InputError(path, f"{count} of its images have the {what} {twice}", "Keep one of them.")
    return keys


def _number_categories(path: Path, categories: Sequence[_Category], labels: Sequence[str]) -> tuple[dict[int, int], tuple[str, ...]]:
    """The class of each category's id, and the names of classes."""
    ordered = sorted(categories, key=lambda category: category.id)
    if len({category.id for category in ordered}) < len(ordered) or not ordered:
        raise InputError(path, "its categories are none, or two have the same id", _REMEDY)
    if not labels:
        return {category.id: number for number, category in enumerate(ordered)}, tuple(category.name for category in ordered)
    known = {label: number for number, label in enumerate(labels)}
    unknown = [category.name for category in ordered if category.name not in known]
    if unknown:
        raise InputError(path, f"its categories {', '.join(unknown[:5])} are none of the contract's labels", "Correct the one or the other.")
    return {category.id: known[category.name] for category in ordered}, tuple(labels)


def _sort_objects(path: Path, annotations: Sequence[_Annotation], places: dict[int, int], numbers: dict[int, int]) -> tuple[Array, Boxes]:
    """The objects in the order of their pictures, and where those of each begin."""
    boxed = [annotation for annotation in annotations if annotation.bbox is not None]
    for annotation in boxed:
        if annotation.image_id not in places or annotation.category_id not in numbers:
            what = f"image {annotation.image_id} and category {annotation.category_id}"
            raise InputError(path, f"an annotation is of {what}, one of which is not there", "Add it, or take the annotation away.")
    owners = np.array([places[annotation.image_id] for annotation in boxed], np.int64)
    order = np.argsort(owners, kind="stable")
    boxes = np.array([annotation.bbox for annotation in boxed], np.float64).reshape(-1, 4)[order]
    classes = np.array([numbers[annotation.category_id] for annotation in boxed], np.int64)[order]
    crowds = np.array([annotation.iscrowd != 0 for annotation in boxed], bool)[order]
    # What overflows is no box, and is found when its picture is read.
    with np.errstate(over="ignore"):
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return np.searchsorted(owners[order], np.arange(len(places) + 1)), Boxes(corners, classes, crowds)


def _find_pictures(path: Path, keys: Sequence[str]) -> Path:
    """The folder from which *keys* are named, by the first of them that is somewhere; InputError where none is."""
    for key in keys[:100]:
        for folder in _suggest_folders(path):
            if (folder / key).is_file():
                return folder
    tried = ", ".join(dict.fromkeys(map(str, _suggest_folders(path))))
    raise InputError(
        path, f"its pictures, as {keys[0]}, are in none of {tried}", "Put the file beside its pictures, or beside a folder images/ with them."
    )


def _suggest_folders(path: Path) -> Iterator[Path]:
    here = path.parent
    part = path.stem.rpartition("_")[2]
    for above in (here, here.parent):
        yield from (above, above / "images", above / part, above / "images" / part)
