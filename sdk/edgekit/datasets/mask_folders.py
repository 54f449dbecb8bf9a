"""Pictures under images/, and under masks/ for each a picture of the same size whose pixels are the numbers of classes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from edgekit.arrays import Array
from edgekit.datasets.base import VOID, BadSample, Sample
from edgekit.datasets.boxes import read_size
from edgekit.datasets.folders import PICTURES, find_inside, list_files, read_inside
from edgekit.errors import InputError
from edgekit.processing.libraries import load_library

IMAGES, MASKS = "images", "masks"
#: How masks are kept: grey or with a palette, one byte a pixel, without loss.
_ENDS, _FORMATS, _MODES = (".png", ".bmp", ".tif", ".tiff"), ("PNG", "BMP", "TIFF"), ("L", "P")
_REMEDY = "Save it as a PNG whose pixels are the numbers of classes, grey or with a palette."


@dataclass(frozen=True)
class MaskSamples:
    """Pictures below *root*; *masks* has for each the path of its mask. The number VOID in a mask is no class."""

    path: Path
    feature: str
    keys: tuple[str, ...]
    masks: dict[str, str]
    classes: tuple[str, ...]
    kind: str = "masks"
    files: tuple[Path, ...] = ()

    def read(self, key: str) -> Sample:
        """The picture *key* with its mask (rows, columns) as uint8; BadSample where one cannot be read, or they differ in size."""
        data = read_inside(self.path, key)
        width, height = read_size(key, data)
        mask = self._read_mask(key)
        if mask.shape != (height, width):
            problem = f"it is {width} x {height} pixels large, and its mask {mask.shape[1]} x {mask.shape[0]}"
            raise BadSample(key, problem, "Give each picture a mask of its size.")
        highest = int(mask.max(where=mask != VOID, initial=0))
        if self.classes and highest >= len(self.classes):
            raise BadSample(key, f"its mask has the class {highest}, and the classes are 0 to {len(self.classes) - 1}", "Correct the mask.")
        return Sample(key, {self.feature: data}, mask)

    def _read_mask(self, key: str) -> Array:
        name = self.masks[key]
        try:
            data = read_inside(self.path, name)
            read_size(name, data)
            with load_library("PIL.Image", "images").open(io.BytesIO(data), formats=_FORMATS) as image:
                mode, numbers = image.mode, np.array(image)
        except BadSample as error:
            raise BadSample(key, f"its mask {name}: {error.problem}", error.remedy) from error
        except Exception as error:
            # What damage makes Pillow's readers raise has no common root.
            raise BadSample(key, f"its mask {name} cannot be read: {error}", _REMEDY) from error
        if mode not in _MODES:
            raise BadSample(key, f"its mask {name} has pixels of the mode {mode}, which are no numbers of classes", _REMEDY)
        return numbers

    def find_file(self, key: str) -> Path | None:
        """The picture's file, or None where it is not there or lies elsewhere."""
        try:
            return find_inside(self.path, key)
        except BadSample:
            return None

    def find_class(self, key: str) -> int | None:  # noqa: ARG002 - a picture has pixels of many
        """None: a picture has pixels of many classes."""
        return None


def open_masks(path: Path, feature: str, labels: Sequence[str] = ()) -> MaskSamples:
    """The pictures below ``path/images``, each with the file of its name below ``path/masks``; *labels* are the contract's.

    Raises:
        InputError: there are no pictures, or one has no mask.
    """
    masks = {PurePosixPath(name).with_suffix("").as_posix(): f"{MASKS}/{name}" for name in list_files(path / MASKS, _ENDS)}
    pictures = list_files(path / IMAGES, PICTURES)
    lacking = [name for name in pictures if PurePosixPath(name).with_suffix("").as_posix() not in masks]
    if lacking or not pictures:
        found = f"{len(lacking)} of its {len(pictures)} pictures have no mask, as {lacking[0]}" if lacking else "it has no pictures"
        raise InputError(path, found, f"Put pictures under {IMAGES}/ and a PNG of the same name for each under {MASKS}/.")
    found_masks = {f"{IMAGES}/{name}": masks[PurePosixPath(name).with_suffix("").as_posix()] for name in pictures}
    return MaskSamples(path, feature, tuple(found_masks), found_masks, tuple(labels))
