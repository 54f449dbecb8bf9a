"""Steps over pixels taken together."""

import numpy as np
import pytest

from edgekit.contract import Cast, Layout, Level, Normalize, Quantize, Reshape, Scale
from edgekit.errors import InputError
from edgekit.processing.fusing import fuse_steps
from edgekit.processing.number_steps import prepare_number_step

PIXELS = np.random.default_rng(1).integers(0, 256, (1, 6, 5, 3), np.uint8)
IMAGENET = (Scale(factor=1 / 255), Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
CHAINS = [
    (*IMAGENET, Layout(axes="CHW")),
    IMAGENET,
    (*IMAGENET, Layout(axes="HWC")),
    (Scale(factor=1 / 255), Layout(axes="CHW"), Reshape(shape=(-1,))),
    (Scale(factor=1 / 255), Quantize(dtype="int8", scale=0.004, zero_point=-128)),
    (*IMAGENET, Cast(dtype="float16"), Layout(axes="CHW")),
    (Cast(dtype="int64"),),
]


def one_by_one(steps, values):
    for step in steps:
        values = prepare_number_step(step)(values)
    return values


@pytest.mark.parametrize("steps", CHAINS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_fused_steps_give_the_same_bytes(steps, channels, turned):
    """To look values up gives, bit by bit, what the steps give one by one; also for views as BGR leaves them."""
    pixels = PIXELS[..., :channels]
    pixels = pixels[..., ::-1] if turned else pixels
    if channels == 1:
        steps = tuple(Normalize(mean=(0.5,), std=(0.2,)) if isinstance(step, Normalize) else step for step in steps)
    change, count = fuse_steps(steps, [prepare_number_step(step) for step in steps], channels)
    fused = one_by_one(steps[count:], change(pixels))
    expected = one_by_one(steps, pixels)
    assert fused.dtype == expected.dtype
    assert (fused == expected).all()
    assert count >= 1


@pytest.mark.parametrize("steps", [(), (Layout(axes="CHW"),), (Level(), Scale(factor=2.0))])
def test_steps_that_look_at_more_than_one_value_are_left_alone(steps):
    """Where the first step moves values or compares them, there is nothing to look up."""
    assert fuse_steps(steps, [lambda values: values for _ in steps], 3) == (None, 0)


def test_what_overflows_is_told_when_it_is_made():
    """Steps that make infinity of a pixel are refused before a picture comes."""
    steps = (Scale(factor=3e38), Scale(factor=3e38))
    with pytest.raises(InputError, match="NaN or infinity of a pixel"):
        fuse_steps(steps, [prepare_number_step(step) for step in steps], 3)
