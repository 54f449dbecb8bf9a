"""From the model's picture back into the caller's."""

import numpy as np
import pytest

from edgekit.contract import Crop, Feature, Processing, Resize, Scale
from edgekit.processing.base import Scene
from edgekit.processing.scenes import bring_back, find_own_scene

LETTERBOX = Resize(width=64, height=32, fit="letterbox")


def test_boxes_go_back_and_are_cut_off_at_the_edges() -> None:
    """A point of the model's picture is the caller's times scale plus offset; what lies in the border is cut off."""
    scene = Scene(size=(100, 50), model_size=(50, 50), scale=(0.5, 0.5), offset=(0.0, 12.5))
    boxes = np.array([[10, 20, 20, 30], [-5, 0, 60, 50]], np.float32)
    assert bring_back(boxes, scene).tolist() == [[20, 15, 40, 35], [0, 0, 100, 50]]


@pytest.mark.parametrize(
    ("steps", "size"),
    [((LETTERBOX, Scale(factor=2.0)), (64, 32)), ((LETTERBOX, Crop(width=24, height=20)), (24, 20)), ((), (16_384, 16_384))],
)
def test_the_models_own_picture_has_the_size_of_the_last_step_that_sets_one(steps: tuple[object, ...], size: tuple[int, int]) -> None:
    """Tensors alone are read in the picture that the contract makes; without a size in it, in the largest that there may be."""
    contract = Processing(inputs=(Feature(name="t", kind="text"), Feature(name="p", kind="image", feeds="x", steps=steps)))
    assert find_own_scene(contract) == Scene(size=size, model_size=size, scale=(1.0, 1.0), offset=(0.0, 0.0))
