"""What goes through a pipeline: what callers give, what the model is fed, and what is needed to read its answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from edgekit.arrays import Array, Arrays
from edgekit.tensors import TensorSpec

#: What a caller gives for one feature: the bytes of a picture or WAV file, a text, or an array: a picture's pixels (rows, columns,
#: RGB as uint8), a sound's samples (samples or samples by channels, floats from -1 to 1 at the contract's rate), a table's rows.
Raw: TypeAlias = bytes | str | Array
#: A step that was prepared: what it makes of all samples of an item. They lie along the first axis, before it and after it, and
#: it may make more of them, as Windows and Stack do.
Change: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class Scene:
    """How the model's picture came from the caller's: a point of the one is that of the other times *scale*, plus *offset*, each (x, y).

    *size* is that of the caller's picture and *model_size* that of the model's, each (width, height) in pixels.
    """

    size: tuple[int, int]
    model_size: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]


@dataclass(frozen=True)
class Fed:
    """What the model is fed with for one item that a caller gave: ``inputs[name]`` has its samples along the first axis.

    It is one sample, or one for each window of a sound or a table. *scene* is there where a picture was given.
    """

    inputs: Arrays
    scene: Scene | None = None

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(next(iter(self.inputs.values())))


class Pipeline(Protocol):
    """A contract that is ready to be carried out. Safe to be used by many threads.

    *inputs* are what callers give, *answers* what they get, and *specs* the inputs of the model.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...  # noqa: D102 - the class says what each is
    @property
    def answers(self) -> tuple[TensorSpec, ...]: ...  # noqa: D102
    @property
    def specs(self) -> tuple[TensorSpec, ...]: ...  # noqa: D102

    def feed(self, raws: Mapping[str, Raw]) -> Fed:
        """What the model is fed with for one item.

        Raises:
            InputError: a feature is missing, or is no picture, sound, text or table that can be read; the message names it.
        """
        ...

    def read(self, outputs: Mapping[str, Array], fed: Fed) -> Arrays:
        """The answer in the caller's words, by name, from the model's *outputs* for what it was *fed* with.

        ``labels`` (bytes), ``classes`` (int64) and ``scores`` (float32) have one entry for each class or box, ``boxes`` (n, 4)
        are x and y of two corners in pixels of the caller's picture, ``mask`` (rows, columns; int32) is of its size,
        ``embedding`` is a vector, ``score`` and ``is_anomaly`` are one each, and so is ``text``. Without a way to read, it is
        *outputs*. What is not a number has its place in each reading: it is left out, unknown, or an anomaly.

        Raises:
            InputError: an output has not the shape that the model declares.
        """
        ...
