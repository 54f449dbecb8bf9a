"""One feature of a contract, prepared: what a caller gives under its name becomes what the model's input takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.contract import Color, Crop, Feature, Resample, Resize, Step, Tokenize
from edgekit.errors import InputError
from edgekit.processing.base import Change, Raw, Scene
from edgekit.processing.fusing import fuse_steps
from edgekit.processing.libraries import load_library
from edgekit.processing.number_steps import NumberKind, check_count, prepare_number_step
from edgekit.processing.picture_steps import prepare_picture_step
from edgekit.processing.pictures import Picture, open_picture
from edgekit.processing.sounds import prepare_sound
from edgekit.processing.spectra import SpectralKind, prepare_spectral_step
from edgekit.processing.tables import prepare_table
from edgekit.processing.texts import prepare_text

#: What an item is between two steps: a picture, or the values of all its samples along the first axis.
Item: TypeAlias = Picture | Array
PictureKind: TypeAlias = Resize | Crop | Color
#: Told for each step what it made of an item.
Witness: TypeAlias = Callable[[Step, Array], None]


@dataclass(frozen=True)
class Stage:
    """One step that is ready to be carried out; *name* is what messages call it, and *change* takes what the step before made."""

    name: str
    step: Step
    change: Callable[[Any], Any]

    def run(self, item: Any) -> Any:
        """What the step makes of *item*; InputError, which names the step, where it can make nothing of it."""
        try:
            return self.change(item)
        except InputError as error:
            raise place_error(self.name, error) from error


@dataclass(frozen=True)
class PreparedFeature:
    """A picture, a sound or a table that becomes one input.

    *read* opens what a caller gives. *pictures* are the steps that change pictures, and *numbers* those that change values
    after them; *fused* do the same as *numbers* to the same values with fewer passes over them.
    """

    feature: Feature
    read: Callable[[Raw], Item]
    pictures: tuple[Stage, ...]
    numbers: tuple[Stage, ...]
    fused: tuple[Stage, ...]

    def feed(self, raw: Raw) -> tuple[Arrays, Scene | None]:
        """The model's input by name, its samples along the first axis, and where a picture came from."""
        item = self.read(raw)
        for stage in self.pictures:
            item = stage.run(item)
        scene = item.scene if isinstance(item, Picture) else None
        values = self._number(item)
        # What overflows is found at the end: warnings would only be printed.
        with np.errstate(all="ignore"):
            for stage in self.fused:
                values = stage.run(values)
        return {str(self.feature.feeds): self._check_finite(values)}, scene

    def watch(self, raw: Raw) -> Iterator[tuple[Step | None, Array]]:
        """What is there of *raw* at first (with None), and after each step."""
        item = self.read(raw)
        yield None, _to_values(item)
        for stage in self.pictures:
            item = stage.run(item)
            yield stage.step, _to_values(item)
        values = self._number(item)
        for stage in self.numbers:
            with np.errstate(all="ignore"):
                values = stage.run(values)
            yield stage.step, values

    def _number(self, item: Item) -> Array:
        """The values of *item*, which is of its last size as a picture; InputError where the steps that follow would need gigabytes for them."""
        if isinstance(item, Picture):
            width, height = item.size
            try:
                check_count((height, width, 1 if item.order == "GRAY" else 3), "Give a smaller picture, or a contract with a step resize.")
            except InputError as error:
                raise place_error(f"input {self.feature.name!r}", error) from error
        return _to_values(item)

    def _check_finite(self, values: Array) -> Array:
        if self.feature.kind != "image" and values.dtype.kind == "f" and not np.isfinite(values).all():
            problem = "it becomes NaN or infinite on its way to the model"
            raise InputError(f"input {self.feature.name!r}", problem, "Give values of the size that the model was trained on.")
        return values


@dataclass(frozen=True)
class PreparedText:
    """A text that becomes one input or several, as its step tokenize says."""

    feature: Feature
    encode: Callable[[Raw], Arrays]

    def feed(self, raw: Raw) -> tuple[Arrays, Scene | None]:
        """The model's inputs by name, one sample each."""
        return self.encode(raw), None

    def watch(self, raw: Raw) -> Iterator[tuple[Step | None, Array]]:
        """What the step makes of *raw*, input by input."""
        for array in self.encode(raw).values():
            yield self.feature.steps[0], array


def prepare_feature(feature: Feature, root: Path) -> PreparedFeature | PreparedText:
    """*feature*, ready; the files that it names lie in the directory *root*.

    Raises:
        InputError: a step cannot be carried out, or not at its place; the message names feature, step and field.
        DeviceError: a library that it needs is not installed here; the message names the extra.
    """
    if feature.kind == "text":
        return PreparedText(feature, prepare_text(feature, root))
    if feature.feeds is None:
        raise InputError(f"input {feature.name!r}", "it does not say which of the model's inputs it becomes", 'Add feeds = "NAME".')
    if feature.kind == "image":
        return _prepare_picture(feature)
    read = prepare_sound(feature) if feature.kind == "audio" else prepare_table(feature)
    # The reader resamples, since it alone knows the rate of a file.
    numbers = tuple(_prepare_numbers(feature, index) for index, step in enumerate(feature.steps) if not isinstance(step, Resample))
    return PreparedFeature(feature, read, (), numbers, numbers)


def place_error(name: str, error: InputError) -> InputError:
    """*error*, which knows the field alone, with the *name* of the step before it."""
    return InputError(name, f"{error.subject}: {error.problem}", error.remedy)


def _prepare_picture(feature: Feature) -> PreparedFeature:
    count = next((index for index, step in enumerate(feature.steps) if not isinstance(step, PictureKind)), len(feature.steps))
    pictures = tuple(_prepare(feature, index, prepare_picture_step) for index in range(count))
    numbers = tuple(_prepare_numbers(feature, index) for index in range(count, len(feature.steps)))
    orders = [step.order for step in feature.steps[:count] if isinstance(step, Color)]
    channels = 1 if orders[-1:] == ["GRAY"] else 3
    # Whoever opens the contract must hear of a missing library, and not the first caller that sends a file.
    load_library("PIL.Image", "images")
    read = partial(open_picture, subject=f"input {feature.name!r}")
    return PreparedFeature(feature, read, pictures, numbers, _fuse(numbers, channels))


def _fuse(numbers: tuple[Stage, ...], channels: int) -> tuple[Stage, ...]:
    change, count = fuse_steps([stage.step for stage in numbers], [stage.run for stage in numbers], channels)
    return numbers if change is None else (Stage(numbers[0].name, numbers[0].step, change), *numbers[count:])


def _prepare_numbers(feature: Feature, index: int) -> Stage:
    return _prepare(feature, index, partial(_prepare_change, feature.kind))


def _prepare_change(kind: str, step: Step) -> Change:
    if isinstance(step, NumberKind):
        return prepare_number_step(step)
    if isinstance(step, SpectralKind):
        return prepare_spectral_step(step)
    if isinstance(step, PictureKind) and kind == "image":
        raise InputError("step", "it changes pictures, and stands behind one that makes numbers of them", "Put it further to the front.")
    belongs = "texts" if isinstance(step, Tokenize) else "sounds" if isinstance(step, Resample) else "pictures"
    raise InputError("step", f"it is for {belongs}, and the input is of the kind {kind}", "Leave it out, or correct the kind.")


def _prepare(feature: Feature, index: int, prepare: Callable[[Any], Any]) -> Stage:
    step = feature.steps[index]
    name = f"input {feature.name!r}, step {index + 1} ({step.__struct_config__.tag})"
    try:
        return Stage(name, step, prepare(step))
    except InputError as error:
        raise place_error(name, error) from error


def _to_values(item: Item) -> Array:
    return item.to_pixels()[None] if isinstance(item, Picture) else item
