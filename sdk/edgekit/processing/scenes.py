"""Answers that lie in a picture: from the model's picture back into the caller's."""

import numpy as np

from edgekit.arrays import Array
from edgekit.contract import Crop, Processing, Resize
from edgekit.errors import InputError
from edgekit.processing.base import Fed, Scene

#: The longest side that a contract can ask for (edgekit.contract.Side).
_LONGEST_SIDE = 16_384


def check_scene(contract: Processing) -> None:
    """Refuse a contract whose answer lies in a picture, and whose callers give none, or several."""
    pictures = [feature.name for feature in contract.inputs if feature.kind == "image"]
    if len(pictures) != 1:
        found = f"and there are {len(pictures)} ({', '.join(pictures)})" if pictures else "and no input of the contract is one"
        raise InputError("answer", f"it lies in the one picture that callers give, {found}", "Give one input of the kind image.")


def find_scene(fed: Fed) -> Scene:
    """How the model's picture came from the caller's; InputError where no picture was fed."""
    if fed.scene is None:
        raise InputError("answer", "it lies in a picture, and none was fed", "Give a picture.")
    return fed.scene


def find_own_scene(contract: Processing) -> Scene:
    """The model's picture taken for the caller's own, for tensors of which nobody knows where they came from.

    Its size is that of the last step that sets one; where none does, the longest that there may be.
    """
    steps = [step for feature in contract.inputs if feature.kind == "image" for step in feature.steps if isinstance(step, Resize | Crop)]
    size = (steps[-1].width, steps[-1].height) if steps else (_LONGEST_SIDE, _LONGEST_SIDE)
    return Scene(size=size, model_size=size, scale=(1.0, 1.0), offset=(0.0, 0.0))


def bring_back(corners: Array, scene: Scene) -> Array:
    """Boxes in the model's picture, (n, 4) as x and y of two corners in its pixels, as they lie in the caller's, cut off at its edges."""
    points = (corners.reshape(-1, 2, 2) - np.array(scene.offset)) / np.array(scene.scale)
    inside: Array = np.clip(points, 0.0, np.array(scene.size))
    return inside.reshape(-1, 4)
