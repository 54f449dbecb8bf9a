"""A model's outputs as readings take them: found by name, of a shape that can be read, and as real numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace

from edgekit.arrays import Array, Arrays
from edgekit.errors import InputError
from edgekit.processing.base import Fed
from edgekit.runtimes.borders import dequantize
from edgekit.tensors import Dimension, TensorSpec

#: Reads an answer from a model's outputs by name, and from what it was fed with.
Reader: TypeAlias = Callable[[Mapping[str, Array], Fed], Arrays]
_CONTRACT = "Correct the processing contract; edgekit inspect shows the model's outputs."
_MODEL = "Make the bundle again from a model that answers as it declares."


@dataclass(frozen=True)
class Output:
    """The output that the contract's *field* names, as the model declares it in *spec*."""

    field: str
    spec: TensorSpec

    @property
    def axes(self) -> tuple[Dimension, ...]:
        """The sizes of one sample's axes; a name where any size may come."""
        return self.spec.shape[1:]

    def take(self, outputs: Mapping[str, Array]) -> Array:
        """Its values as float32, with the samples along the first axis; quantised ones become what they stand for.

        Raises:
            InputError: it is not there, or has another shape than it declares.
        """
        found = outputs.get(self.spec.name)
        if found is None or not self._accepts(found.shape):
            shape = "not there" if found is None else f"of shape {list(found.shape)}"
            raise InputError(f"output {self.spec.name!r}", f"it is {shape}, and {self.spec} is declared", _MODEL)
        if self.spec.quantization is not None and found.dtype.kind in "iu":
            return dequantize(found, self.spec.quantization)
        # What float64 holds and float32 does not becomes infinite, which each reading knows what to do with.
        with np.errstate(over="ignore"):
            return found.astype(np.float32, copy=False)

    def _accepts(self, shape: tuple[int, ...]) -> bool:
        # A model that takes one sample at a time was asked for each, so there may be more of them than it declares.
        return bool(shape) and replace(self.spec, shape=("samples", *self.axes)).accepts(shape)

    def take_one(self, outputs: Mapping[str, Array]) -> Array:
        """The values of the one sample that an item gave; InputError where it gave several, as windows do."""
        values = self.take(outputs)
        if len(values) != 1:
            raise InputError(f"output {self.spec.name!r}", f"it answers {len(values)} samples, and one picture gives one", _CONTRACT)
        single: Array = values[0]
        return single

    def take_full(self, outputs: Mapping[str, Array]) -> Array:
        """What take gives, checked by check_full."""
        return self.check_full(self.take(outputs))

    def check_full(self, values: Array) -> Array:
        """*values*, or InputError where there is not one of them: nothing could be said of it."""
        if not values.size:
            raise InputError(f"output {self.spec.name!r}", f"it is empty: its shape is {list(values.shape)}", _MODEL)
        return values

    def refuse(self, expected: str) -> InputError:
        """The refusal of an output that cannot be read so; *expected* says what one sample of it must be."""
        return InputError(self.field, f"it names the output {self.spec}, and {expected} is expected for each sample", _CONTRACT)

    def check_axes(self, *names: str) -> None:
        """Refuse it unless one sample has as many axes as there are *names*, which tell the reader what each holds."""
        if len(self.axes) != len(names):
            raise self.refuse(f"[{', '.join(names)}]")


def find_output(field: str, name: str, outputs: Sequence[TensorSpec]) -> Output:
    """The output called *name*, which the contract's *field* asks for.

    Raises:
        InputError: the model has no such output, or it holds strings, or no axis for samples; the message names the field.
    """
    spec = next((one for one in outputs if one.name == name), None)
    if spec is None:
        known = ", ".join(one.name for one in outputs)
        raise InputError(field, f"it names {name!r}, and the model's outputs are {known}", _CONTRACT)
    output = Output(field, spec)
    if spec.dtype == "bytes" or not spec.shape:
        raise output.refuse("numbers")
    return output


def find_length(output: Output) -> Dimension:
    """The length of a sample that is one row, whatever axes of one lie around it; a name where any may come.

    Raises:
        InputError: a sample has several axes that are longer.
    """
    long = [size for size in output.axes if size != 1]
    if len(long) > 1:
        raise output.refuse("one row of numbers")
    return long[0] if long else 1
