"""A set of data read once from end to end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.datasets.registry import open_dataset
from edgekit.datasets.surveying import survey_dataset

pytest.importorskip("imagehash")


def test_samples(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """All that can be read is described, the rest is named, and classes are counted by name."""
    (tmp_path / "bird").mkdir()
    for place in range(6):
        draw(tmp_path / ("cat", "dog")[place % 2] / f"{place}.png", place)
    (tmp_path / "cat" / "9.png").write_bytes(b"no picture")
    dataset = open_dataset(tmp_path)
    survey = survey_dataset(dataset, dataset.keys)
    assert len(survey.described) == 6
    assert [skip.key for skip in survey.faults] == ["cat/9.png"]
    assert [(one.name, one.count) for one in survey.list_classes()] == [("bird", 0), ("cat", 3), ("dog", 3)]
    assert survey.list_figures()["width"] == [64.0] * 6
    assert survey.count_forms() == {"format": {"PNG": 6}, "channels": {"RGB": 6}}
    assert (survey.has_objects, survey.unlabelled) == (False, 0)


def test_objects(detection: Path) -> None:
    """Of pictures with objects the objects are counted."""
    dataset = open_dataset(detection)
    survey = survey_dataset(dataset, dataset.keys)
    assert (survey.has_objects, dict(survey.counts)) == (True, {0: 1, 1: 2})


def test_some(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """Only those that are asked for are read, and who waits is told of each."""
    for place in range(3):
        draw(tmp_path / f"{place}.png", place)
    dataset = open_dataset(tmp_path)
    told: list[tuple[str, int, int]] = []
    survey = survey_dataset(dataset, dataset.keys[1:], lambda *step: told.append(step))
    assert list(survey.described) == ["1.png", "2.png"]
    assert told == [(f"looking at {tmp_path.name}", 0, 2), (f"looking at {tmp_path.name}", 1, 2)]
    assert survey.unlabelled == 2
