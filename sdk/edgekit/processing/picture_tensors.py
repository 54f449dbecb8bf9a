"""Which of a model's inputs holds a picture, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from edgekit.tensors import TensorSpec

Axes: TypeAlias = Literal["CHW", "HWC", "HW"]
#: Sides below which a tensor of two axes is taken for a table rather than for a grey picture.
_LEAST_SIDE = 8


@dataclass(frozen=True)
class PictureTensor:
    """An input that takes pictures of *height* x *width* pixels in *channels* channels, its axes in the order of *axes*.

    A side is 0 where the model takes any.
    """

    spec: TensorSpec
    axes: Axes
    height: int
    width: int
    channels: int


def find_picture(spec: TensorSpec) -> PictureTensor | None:
    """How *spec* holds a picture of one or three channels; None where it does not look like one.

    Its layout tells where it is known, else the axis of one or three.
    """
    sizes = [size if isinstance(size, int) else 0 for size in spec.shape[1:]]
    if len(sizes) == 2:
        height, width = sizes
        return PictureTensor(spec, "HW", height, width, 1) if min(sizes) >= _LEAST_SIDE else None
    if len(sizes) != 3:
        return None
    for axes in _order_by_likelihood(spec):
        sides = dict(zip(axes, sizes, strict=True))
        if sides["C"] in (1, 3):
            return PictureTensor(spec, axes, sides["H"], sides["W"], sides["C"])
    return None


def _order_by_likelihood(spec: TensorSpec) -> Sequence[Literal["CHW", "HWC"]]:
    if spec.layout is None:
        return ("CHW", "HWC")
    return ("HWC",) if spec.layout.endswith("C") else ("CHW",)
