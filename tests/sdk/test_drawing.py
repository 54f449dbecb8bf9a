"""What a model found is drawn where it found it."""

import io

import numpy as np
import pytest

from edgekit.answers import Answer
from edgekit.contract import Classify, Detect, Segment
from edgekit.drawing import draw_answer
from edgekit.errors import InputError

Image = pytest.importorskip("PIL.Image")

GREY = np.full((60, 80, 3), 100, np.uint8)


def draw(answer):
    image = Image.open(io.BytesIO(draw_answer(GREY, answer)))
    assert (image.format, image.size) == ("PNG", (80, 60))
    return np.asarray(image)


def test_boxes_are_drawn_in_the_colours_of_their_classes():
    """Each box has its outline where it lies, with its label at its corner, and what lies elsewhere stays."""
    boxes = np.array([[10, 20, 40, 55], [50, 5, 70, 30]], np.float32)
    found = {"labels": np.array([b"cat", "犬".encode()]), "classes": np.array([0, 8]), "scores": np.array([0.9, 0.5], np.float32), "boxes": boxes}
    pixels = draw(Answer(found, Detect(boxes="b")))
    assert pixels[50, 10].tolist() == pixels[55, 30].tolist() == [0, 114, 178]
    assert pixels[29, 70].tolist() == [230, 159, 0]
    assert (pixels[40:50, 20:35] == 100).all()
    assert (pixels[58:] == 100).all()


def test_a_box_whose_corners_are_exchanged_is_drawn_all_the_same():
    """What a model gives the wrong way round is drawn as if it were right."""
    scores = {"labels": np.array([b"a"]), "classes": np.array([0]), "scores": np.array([0.9], np.float32)}
    right, wrong = (np.array([corners], np.float32) for corners in ([10, 20, 40, 55], [40, 55, 10, 20]))
    assert (draw(Answer(scores | {"boxes": right}, Detect(boxes="b"))) == draw(Answer(scores | {"boxes": wrong}, Detect(boxes="b")))).all()


def test_a_mask_is_laid_over_the_picture():
    """Each pixel is half its class's colour; where the class is unknown it stays."""
    mask = np.full((60, 80), 1, np.int32)
    mask[:, :40], mask[:10] = 0, -1
    pixels = draw(Answer({"mask": mask}, Segment(output="y")))
    assert pixels[30, 10].tolist() == [50, 107, 139]
    assert pixels[30, 60].tolist() == [165, 129, 50]
    assert (pixels[:10] == 100).all()


def test_nothing_else_can_be_drawn():
    """An answer of classes lies nowhere in the picture."""
    found = {"labels": np.array([b"cat"]), "classes": np.array([0]), "scores": np.array([0.9], np.float32)}
    with pytest.raises(InputError, match="no boxes and no mask"):
        draw_answer(GREY, Answer(found, Classify(output="y")))
