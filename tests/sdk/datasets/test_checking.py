"""Data looked at before it is used."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.contract import Feature, Layout, Processing, Resize, Scale
from edgekit.datasets.checking import DataCheck, check_data
from edgekit.datasets.registry import open_dataset
from edgekit.datasets.surveying import Survey, survey_dataset
from edgekit.errors import InputError
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec

pytest.importorskip("imagehash")
pytest.importorskip("cv2")


def _survey(path: Path) -> Survey:
    dataset = open_dataset(path)
    return survey_dataset(dataset, dataset.keys)


def _warns(found: DataCheck, part: str) -> bool:
    return any(part in warning for warning in found.warnings)


@pytest.fixture
def photos(tmp_path: Path, draw: Callable[..., bytes]) -> Path:
    """Forty pictures in two classes, against which nothing speaks."""
    for place in range(40):
        draw(tmp_path / "photos" / ("cat", "dog")[place % 2] / f"{place:02}.png", place)
    return tmp_path / "photos"


def test_good(photos: Path) -> None:
    """Of good data all is said that it has, and nothing is warned of; the record is read back as it was."""
    found = check_data(_survey(photos))
    assert (found.kind, found.available, found.read, found.warnings, found.faults) == ("class-folders", 40, 40, (), ())
    assert [(one.name, one.count) for one in found.classes] == [("cat", 20), ("dog", 20)]
    assert (found.figures["width"].low, found.figures["height"].high) == (64, 48)
    assert DataCheck.decode(found.encode()) == found
    found.check()


def test_faults(photos: Path) -> None:
    """All damaged pictures are named, and data with too many of them are refused."""
    for name in ("cat/00.png", "cat/02.png"):
        (photos / name).write_bytes(b"no picture")
    found = check_data(_survey(photos))
    assert [skip.key for skip in found.faults] == ["cat/00.png", "cat/02.png"]
    assert (found.allowed, _warns(found, "2 samples cannot be used")) == (2, True)
    found.check()
    (photos / "dog/01.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"3 of 40 samples cannot be used, and no more than 2 may be so, as cat/00\.png: it is no picture"):
        check_data(_survey(photos)).check()


def test_classes(photos: Path, draw: Callable[..., bytes]) -> None:
    """Empty, uneven and single classes are warned of."""
    (photos / "bird").mkdir()
    assert _warns(check_data(_survey(photos)), "1 classes have no samples: bird")
    draw(photos / "bird" / "99.png", 99)
    draw(photos / "cat" / "98.png", 98)
    assert _warns(check_data(_survey(photos)), "classes are uneven: 21 samples of cat, and 1 of bird")
    shutil.rmtree(photos / "bird")
    shutil.rmtree(photos / "dog")
    found = check_data(_survey(photos))
    assert _warns(found, "all samples are of one class, cat")
    assert _warns(found, "fewer than 32")


def test_exceptions(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A few grey pictures among coloured ones, and a flat one, are noticed."""
    for place in range(120):
        draw(tmp_path / f"{place:03}.png", place, mode="L" if place == 7 else "RGB")
    Image.new("RGB", (64, 48), "red").save(tmp_path / "flat.png")
    found = check_data(_survey(tmp_path))
    assert _warns(found, "a few samples have other channels than the rest: L 1 times")
    Image.new("L", (64, 48)).save(tmp_path / "flat.png")
    assert _warns(check_data(_survey(tmp_path)), "1 samples have one value everywhere, or are silent: flat.png")


def test_noise(tmp_path: Path) -> None:
    """Pictures of noise are called noise."""
    rng = np.random.default_rng(0)
    for place in range(33):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(tmp_path / f"{place}.png")
    assert _warns(check_data(_survey(tmp_path)), "the samples look like noise")


def test_rates(tmp_path: Path, play: Callable[..., bytes]) -> None:
    """Sounds of different rates are warned of, with the rates."""
    for place in range(6):
        play(tmp_path / f"{place}.wav", place, 8000 if place == 5 else 16_000)
    assert _warns(check_data(_survey(tmp_path)), "different sample rates: 16000 Hz 5 times, 8000 Hz 1 times")


def test_duplicates(photos: Path, tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """What is there twice is named, within the set and in another, byte for byte or by its looks, and with other labels."""
    shutil.copy(photos / "cat" / "00.png", photos / "dog" / "00-again.png")
    (tmp_path / "test" / "cat").mkdir(parents=True)
    shutil.copy(photos / "cat" / "02.png", tmp_path / "test" / "cat" / "a.png")
    Image.open(photos / "cat" / "04.png").save(tmp_path / "test" / "cat" / "b.jpg", quality=85)
    draw(tmp_path / "test" / "cat" / "new.png", 1000)
    found = check_data(_survey(tmp_path / "test"), _survey(photos))
    assert [(pair.first, pair.second, pair.how) for pair in found.shared] == [
        ("cat/02.png", "cat/a.png", "same"),
        ("cat/04.png", "cat/b.jpg", "alike"),
    ]
    assert _warns(found, "1 samples are in the other set too")
    assert _warns(found, "1 samples look like one that is in the other set too")
    found = check_data(_survey(photos))
    assert [(pair.first, pair.second, pair.classes_differ) for pair in found.duplicates] == [("cat/00.png", "dog/00-again.png", True)]
    assert _warns(found, "there again with another label: dog/00-again.png")


def test_fed(photos: Path) -> None:
    """With a model it is said what it would be fed with, and what speaks against that."""
    steps = (Resize(width=8, height=8), Scale(factor=1 / 255), Layout(axes="CHW"))
    contract = Processing(inputs=(Feature(name="photo", kind="image", feeds="x", steps=steps),))
    specs = (TensorSpec(name="x", dtype="float32", shape=("n", 3, 8, 8)),)
    dataset = open_dataset(photos, contract=contract)
    pipeline = open_pipeline(contract, specs, specs, Path())
    found = check_data(survey_dataset(dataset, dataset.keys), pipeline=pipeline)
    (fed,) = found.fed
    assert (fed.name, fed.dtype, fed.shape) == ("x", "float32", (3, 8, 8))
    assert 0 <= fed.low < fed.mean < fed.high <= 1
    every = np.stack([pipeline.feed(dataset.read(key).raws).inputs["x"] for key in dataset.keys])
    assert fed.std == pytest.approx(every.std(), rel=1e-5)


def test_objects(detection: Path) -> None:
    """Of a detection set objects are counted, and a picture with a box outside is a fault."""
    found = check_data(_survey(detection))
    assert (found.counted, [(one.name, one.count) for one in found.classes]) == ("objects", [("cat", 1), ("dog", 2)])
    (detection / "labels" / "a.txt").write_text("0 0.9 0.9 0.9 0.9")
    found = check_data(_survey(detection))
    assert "outside the picture" in found.faults[0].problem
