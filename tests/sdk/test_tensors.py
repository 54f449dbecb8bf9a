"""Tensor specs and bindings."""

import pytest

from edgekit.tensors import Binding, Quantization, TensorSpec

SPEC = TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8))


@pytest.mark.parametrize(("shape", "fits"), [((1, 1, 8, 8), True), ((7, 1, 8, 8), True), ((1, 8, 8), False), ((1, 1, 8, 9), False)])
def test_accepts(shape: tuple[int, ...], fits: bool) -> None:
    """A named axis takes any size, a number only its own."""
    assert SPEC.accepts(shape) is fits


def test_str_reads_as_people_write_it() -> None:
    """A spec prints as name, dtype and shape."""
    assert str(SPEC) == "image: float32[batch, 1, 8, 8]"


def test_str_has_what_integers_mean() -> None:
    """A quantised spec prints its scale and zero point too, without which nobody could write its integers."""
    spec = TensorSpec(name="x", dtype="int8", shape=("n", 3), quantization=Quantization(scale=(0.5847029089927673,), zero_point=(83,)))
    assert str(spec) == "x: int8[n, 3] with scale 0.584702909, zero point 83"
    assert str(Quantization(scale=(0.1, 0.2), zero_point=(0, 0), axis=1)) == "2 scales along axis 1"


def test_permutation_names_each_axis_once() -> None:
    """A permutation that is none is refused."""
    with pytest.raises(ValueError, match="once"):
        Binding(name="image", native=SPEC, permutation=(0, 2, 2, 1))


def test_quantisation_per_tensor_has_one_scale() -> None:
    """Several scales need the axis along which they lie, and a zero point each."""
    with pytest.raises(ValueError, match="axis"):
        Quantization(scale=(0.1, 0.2), zero_point=(0, 0))
    with pytest.raises(ValueError, match="length"):
        Quantization(scale=(0.1, 0.2), zero_point=(0,), axis=1)
