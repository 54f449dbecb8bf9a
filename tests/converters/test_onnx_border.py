"""What a user says of inputs, held against the inputs: it fits, or the refusal lists what would."""

import pytest

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.onnx_border import check_dtypes, find_permutations, find_sizes

INPUTS = (
    TensorSpec(name="image", dtype="float32", shape=("batch", 3, "side", "side")),
    TensorSpec(name="ids", dtype="int64", shape=("batch", "length")),
    TensorSpec(name="text", dtype="bytes", shape=("batch",)),
)


@pytest.mark.parametrize(
    ("shapes", "sizes"),
    [
        ({}, {}),
        ({"image": (1, 3, 224, 224)}, {"batch": 1, "side": 224}),
        ({"image": (None, None, 224, 224)}, {"side": 224}),
        ({"length": (128,)}, {"length": 128}),
        ({"image": (2, 3, None, None), "ids": (2, 64)}, {"batch": 2, "length": 64}),
        ({"batch": (4,), "ids": (4, None)}, {"batch": 4}),
    ],
)
def test_sizes_of_tensors_and_of_axes_become_sizes_of_names(shapes, sizes) -> None:
    """A tensor's sizes and an axis's one size fix names, and a size left out fixes nothing."""
    assert find_sizes(shapes, INPUTS, "model.onnx") == sizes


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"picture": (1, 3, 8, 8)}, r"'picture', which is neither.*image: float32\[batch, 3, side, side\].*batch, length, side"),
        ({"image": (1, 3, 8)}, r"'image' 3 sizes.*Give 4"),
        ({"image": (1, 4, 8, 8)}, r"the size 4 where the model has 3"),
        ({"image": (1, 3, 8, 9)}, r"'side' the sizes 8 and 9"),
        ({"image": (1, 3, 8, 8), "batch": (2,)}, r"'batch' the sizes 1 and 2"),
        ({"length": (1, 2)}, r"axis 'length' 2 sizes"),
        ({"length": (0,)}, r"from 1 on"),
        ({"length": (-3,)}, r"from 1 on"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes, said) -> None:
    """Unknown names are answered with the known ones, and contradictions with both sizes."""
    with pytest.raises(InputError, match=said):
        find_sizes(shapes, INPUTS, "model.onnx")


def test_numbers_may_have_any_dtype_of_numbers() -> None:
    """A float input may be bytes at the border, and strings stay strings."""
    check_dtypes({"image": "uint8", "ids": "int32", "text": "bytes"}, INPUTS, "model.onnx")


@pytest.mark.parametrize(("dtypes", "said"), [({"picture": "uint8"}, "no input.*image"), ({"text": "int8"}, "text"), ({"image": "bool"}, "bool")])
def test_dtypes_that_do_not_fit_are_refused(dtypes, said) -> None:
    """A name that is no input, and strings or truths as numbers, are refused."""
    with pytest.raises(InputError, match=said):
        check_dtypes(dtypes, INPUTS, "model.onnx")


def test_layouts_become_permutations() -> None:
    """For each axis of the callers' layout the permutation has the source's."""
    assert find_permutations({"image": ("NCHW", "NHWC")}, INPUTS, "model.onnx") == {"image": (0, 2, 3, 1)}
    assert find_permutations({"image": ("NCHW", "NCHW")}, INPUTS, "model.onnx") == {"image": (0, 1, 2, 3)}


@pytest.mark.parametrize("pair", [("NCHW", "NHW"), ("NCHW", "NHWD"), ("NCC", "NCC"), ("NC", "CN")])
def test_layouts_that_do_not_fit_are_refused(pair) -> None:
    """Letters that are not the same in both, stand twice, or are not as many as the axes are refused."""
    with pytest.raises(InputError, match=r"'image' .*NCHW:NHWC"):
        find_permutations({"image": pair}, INPUTS, "model.onnx")
