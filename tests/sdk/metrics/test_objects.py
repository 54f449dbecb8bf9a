"""Mean average precision, against pycocotools used as its own documentation has it."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgekit.datasets.base import Boxes
from edgekit.errors import InputError
from edgekit.metrics.base import Answers
from edgekit.metrics.objects import MAP50, MAP50_95, share_found


def _draw_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 80, (count, 2))
    return np.hstack([corner, corner + rng.uniform(4, 40, (count, 2))]).astype(np.float32)


def _make_set(rng: np.random.Generator, pictures: int) -> tuple[list[Boxes], Answers]:
    """Pictures with objects of four classes, the last one of which is never true, and answers that are off, missing or too many."""
    truths, readings = [], []
    for _ in range(pictures):
        count = int(rng.integers(0, 6))
        corners, classes = _draw_boxes(rng, count), rng.integers(0, 3, count)
        truths.append(Boxes(corners, classes, rng.random(count) < 0.15))
        kept = rng.random(count) < 0.8
        extra = int(rng.integers(0, 4))
        found = np.vstack([corners[kept] + rng.normal(0, 2, (kept.sum(), 4)), _draw_boxes(rng, extra)]).astype(np.float32)
        labels = np.concatenate([np.where(rng.random(kept.sum()) < 0.1, 3, classes[kept]), rng.integers(0, 4, extra)])
        scores = rng.random(len(found)).round(2).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        readings.append({"boxes": found[order], "classes": labels[order], "scores": scores[order]})
    return truths, Answers(None, readings)


def _measure_by_hand(truths: list[Boxes], answers: Answers) -> tuple[float, float]:
    """map50-95 and map50 as COCO's own evaluation prints them, from annotations written out."""
    annotations, results = [], []
    for image, boxes in enumerate(truths):
        for (left, top, right, bottom), number, crowd in zip(boxes.corners.tolist(), boxes.classes.tolist(), boxes.crowds.tolist(), strict=True):
            box = [left, top, right - left, bottom - top]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": number, "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)}
            )
    for image, reading in enumerate(answers.readings):
        for (left, top, right, bottom), number, score in zip(
            reading["boxes"].tolist(), reading["classes"].tolist(), reading["scores"].tolist(), strict=True
        ):
            results.append({"image_id": image, "category_id": number, "bbox": [left, top, right - left, bottom - top], "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": n} for n in range(len(truths))],
            "categories": [{"id": n} for n in range(4)],
            "annotations": annotations,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_what_pycocotools_prints(seed: int) -> None:
    """Crowds, a class without truth, pictures without objects and equal scores give the figures of COCO's own evaluation."""
    truths, answers = _make_set(np.random.default_rng(seed), 40)
    strict, loose = _measure_by_hand(truths, answers)
    assert 0.1 < strict < loose < 0.95
    assert MAP50_95.measure(answers, truths) == pytest.approx(strict, abs=1e-12)
    assert MAP50.measure(answers, truths) == pytest.approx(loose, abs=1e-12)


def test_pictures_drawn_again_count_as_often_as_they_are_drawn() -> None:
    """The figure of some pictures, some of them twice, is that of a set in which they are there twice."""
    rng = np.random.default_rng(2)
    truths, answers = _make_set(rng, 20)
    tell = MAP50.prepare_figure(answers, truths)
    for _ in range(3):
        rows = rng.integers(0, 20, 20)
        assert tell(rows) == pytest.approx(MAP50.measure(answers.take(rows), [truths[row] for row in rows]), abs=1e-12)
    assert tell(np.arange(20)) == MAP50.measure(answers, truths)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout is for JSON, whatever pycocotools says of its progress."""
    truths, answers = _make_set(np.random.default_rng(3), 5)
    MAP50.prepare_figure(answers, truths)(np.arange(5))
    assert capsys.readouterr().out == ""


def test_no_answers_are_nothing_found() -> None:
    """A detector that is silent has 0, and it is no error."""
    truths, _ = _make_set(np.random.default_rng(4), 6)
    silent = {"boxes": np.zeros((0, 4), np.float32), "classes": np.zeros(0, np.int64), "scores": np.zeros(0, np.float32)}
    assert MAP50.measure(Answers(None, [silent] * 6), truths) == 0.0


@pytest.mark.parametrize("truths", [[0, 1], [Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, bool))] * 2], ids=["classes", "no boxes"])
def test_truths_without_boxes_are_refused(truths: list[object]) -> None:
    """Without an object there is nothing to find, and a class is no object."""
    _, answers = _make_set(np.random.default_rng(5), 2)
    with pytest.raises(InputError, match="box"):
        MAP50.measure(answers, truths)


def test_answers_without_boxes_are_refused() -> None:
    """A detector's raw tensors say nothing without a contract that reads them."""
    truths, _ = _make_set(np.random.default_rng(6), 1)
    with pytest.raises(InputError, match=r"no boxes.*--task detect"):
        MAP50.measure(Answers({"y": np.zeros((1, 84, 10))}), truths)


def test_a_picture_is_judged_by_the_boxes_that_have_their_match() -> None:
    """All found is 1, nothing there and nothing found too, and one of two found with one too many is a half."""
    two = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    truth = Boxes(two, np.array([0, 1]), np.zeros(2, bool))
    none = Boxes(two[:0], np.zeros(0, int), np.zeros(0, bool))
    right = {"boxes": two, "classes": np.array([0, 1]), "scores": np.ones(2)}
    half = {"boxes": two, "classes": np.array([0, 2]), "scores": np.ones(2)}
    silent = {name: array[:0] for name, array in right.items()}
    assert share_found(Answers(None, [right, half, silent, silent]), [truth, truth, truth, none]).tolist() == [1.0, 0.5, 0.0, 1.0]
