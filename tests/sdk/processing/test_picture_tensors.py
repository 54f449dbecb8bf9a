"""Which inputs hold pictures."""

import pytest

from edgekit.processing.picture_tensors import find_picture
from edgekit.tensors import TensorSpec


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((3, 20, 30), None, ("CHW", 20, 30, 3)),
        ((20, 30, 3), None, ("HWC", 20, 30, 3)),
        ((1, 20, 30), None, ("CHW", 20, 30, 1)),
        ((20, 30), None, ("HW", 20, 30, 1)),
        ((3, "h", "w"), None, ("CHW", 0, 0, 3)),
        ((3, 20, 3), "NHWC", ("HWC", 3, 20, 3)),
        ((3, 20, 3), "NCHW", ("CHW", 20, 3, 3)),
    ],
)
def test_pictures_are_found(shape, layout, expected):
    """An axis of one or three is that of the channels, where no layout tells; a side may have any size."""
    found = find_picture(TensorSpec(name="x", dtype="float32", shape=("n", *shape), layout=layout))
    assert found is not None
    assert (found.axes, found.height, found.width, found.channels) == expected


@pytest.mark.parametrize(
    ("shape", "layout"), [((), None), ((640,), None), ((26, 3), None), ((5, 20, 30), None), ((3, 20, 30), "NHWC"), ((1, 3, 20, 30), None)]
)
def test_other_tensors_are_none(shape, layout):
    """Rows, tables, other numbers of channels and videos are no pictures."""
    assert find_picture(TensorSpec(name="x", dtype="float32", shape=("n", *shape), layout=layout)) is None
