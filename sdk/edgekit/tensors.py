"""What goes into a model and what comes out: names, dtypes, shapes, layouts, quantisation."""

from typing import Annotated, Literal

from msgspec import Meta

from edgekit.records import Record

DType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "bytes",
]  # fmt: skip

#: A size, or the name of a size that may vary; equal names mean equal sizes.
Dimension = Annotated[int, Meta(ge=0, le=1 << 40)] | Annotated[str, Meta(min_length=1, max_length=64)]
TensorName = Annotated[str, Meta(min_length=1, max_length=256)]
Axis = Annotated[int, Meta(ge=0, le=31)]


class Quantization(Record, frozen=True, kw_only=True):
    """Affine quantisation: real = scale * (quantised - zero_point), per tensor or along *axis*."""

    scale: Annotated[tuple[float, ...], Meta(min_length=1)]
    zero_point: Annotated[tuple[int, ...], Meta(min_length=1)]
    axis: Axis | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.scale) != len(self.zero_point):
            raise ValueError("scale and zero_point must have the same length")
        if self.axis is None and len(self.scale) != 1:
            raise ValueError("quantisation per tensor has one scale; name an axis for more")

    def __str__(self) -> str:
        if self.axis is not None:
            return f"{len(self.scale)} scales along axis {self.axis}"
        return f"scale {self.scale[0]:.9g}, zero point {self.zero_point[0]}"


class TensorSpec(Record, frozen=True, kw_only=True):
    """One input or output of a model.

    *shape* holds a size or a name for each axis; a name means any size. *layout* names the axes
    ("NCHW") where it is known. *finite* says that an output must hold neither NaN nor infinity.
    """

    name: TensorName
    dtype: DType
    shape: Annotated[tuple[Dimension, ...], Meta(max_length=32)]
    layout: Annotated[str, Meta(pattern=r"^[A-Z]{1,32}\Z")] | None = None
    quantization: Quantization | None = None
    finite: bool = True

    @property
    def has_dynamic_batch(self) -> bool:
        """Whether the first axis may have any size."""
        return bool(self.shape) and isinstance(self.shape[0], str)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of *shape* fits, taking a named axis as any size."""
        if len(shape) != len(self.shape):
            return False
        return all(isinstance(mine, str) or mine == given for mine, given in zip(self.shape, shape, strict=True))

    def __str__(self) -> str:
        quantised = "" if self.quantization is None else f" with {self.quantization}"
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]{quantised}"


class Binding(Record, frozen=True, kw_only=True):
    """Where one tensor of the source model is found in an artifact, and in which form.

    *name* is the source's name and *native* the tensor in the file. *permutation* lists, for each axis of
    the native tensor, the source's axis that it holds (as numpy.transpose takes it); None means the same order.
    A native tensor with *quantization* is (de)quantised on the way when the source's dtype is a float.
    """

    name: TensorName
    native: TensorSpec
    permutation: tuple[Axis, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.permutation is not None and sorted(self.permutation) != list(range(len(self.native.shape))):
            raise ValueError(f"permutation {self.permutation} does not name each axis of {self.native} once")
