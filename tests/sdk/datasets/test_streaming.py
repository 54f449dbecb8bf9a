"""Samples become what a model is fed with, on disk."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.contract import Color, Feature, Layout, Processing, Resize, Scale, Windows
from edgekit.datasets.base import BadSample, Boxes, Sample
from edgekit.datasets.registry import open_dataset
from edgekit.datasets.streaming import Skip, check_skipped, count_allowed, feed_samples
from edgekit.errors import DeviceError, InputError
from edgekit.processing.base import Pipeline
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec

pytest.importorskip("cv2")

SIDE = 16
SPEC = TensorSpec(name="x", dtype="float32", shape=("n", 3, SIDE, SIDE))
STEPS = (Resize(width=SIDE, height=SIDE), Scale(factor=1 / 255), Layout(axes="CHW"))
PHOTOS = Processing(inputs=(Feature(name="photo", kind="image", feeds="x", steps=STEPS),))
OUTPUTS = (TensorSpec(name="y", dtype="float32", shape=("n", 2)),)


def _open(contract: Processing = PHOTOS, *specs: TensorSpec) -> Pipeline:
    return open_pipeline(contract, specs or (SPEC,), OUTPUTS, Path())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def photos(tmp_path: Path, draw: Callable[..., bytes]) -> Path:
    """Twelve pictures in two classes."""
    for place in range(12):
        draw(tmp_path / "photos" / "ab"[place % 2] / f"{place:02}.png", place)
    return tmp_path / "photos"


def test_rows(photos: Path, work: Path) -> None:
    """Each sample has its row as the pipeline makes it, its class, and the scene for reading its answer; the file is a map."""
    dataset, pipeline = open_dataset(photos, contract=PHOTOS), _open()
    prepared = feed_samples(dataset, dataset.keys, pipeline, work)
    assert isinstance(prepared.inputs["x"], np.memmap)
    assert prepared.inputs["x"].shape == (prepared.n, 3, SIDE, SIDE) == (12, 3, SIDE, SIDE)
    for place, item in enumerate(prepared.items):
        fed = pipeline.feed(dataset.read(item.key).raws)
        assert np.array_equal(prepared.find_fed(place).inputs["x"], fed.inputs["x"])
        assert prepared.find_fed(place).scene == fed.scene
    assert prepared.truths == (0,) * 6 + (1,) * 6


def test_windows(tmp_path: Path, work: Path) -> None:
    """A recording that gives several rows keeps them together."""
    feature = Feature(name="acc", kind="series", feeds="x", columns=("a", "b"), steps=(Scale(factor=1), Windows(length=2, hop=2)))
    np.savez(tmp_path / "a.npz", acc=np.arange(3 * 6 * 2).reshape(3, 6, 2), labels=np.arange(3))
    dataset = open_dataset(tmp_path / "a.npz", contract=Processing(inputs=(feature,)))
    pipeline = _open(Processing(inputs=(feature,)), TensorSpec(name="x", dtype="float32", shape=("n", 2, 2)))
    prepared = feed_samples(dataset, dataset.keys, pipeline, work)
    assert [(item.start, item.stop) for item in prepared.items] == [(0, 3), (3, 6), (6, 9)]
    assert prepared.find_fed(1).inputs["x"].ravel().tolist() == list(range(12, 24))


def test_bad_samples(photos: Path, work: Path) -> None:
    """A damaged picture among good ones is skipped and named."""
    (photos / "a" / "04.png").write_bytes((photos / "a" / "04.png").read_bytes()[:200])
    (photos / "b" / "05.png").write_bytes(b"no picture")
    dataset = open_dataset(photos, contract=PHOTOS)
    prepared = feed_samples(dataset, dataset.keys, _open(), work)
    assert [skip.key for skip in prepared.skipped] == ["a/04.png", "b/05.png"]
    assert (prepared.n, len(prepared.items)) == (10, 10)
    assert "no picture" in prepared.skipped[1].problem


def test_too_many_bad(photos: Path, work: Path) -> None:
    """Where more than a few are damaged, nothing is made, and the message names them."""
    for name in ("a/00.png", "a/04.png", "b/05.png"):
        (photos / name).write_bytes(b"no picture")
    dataset = open_dataset(photos, contract=PHOTOS)
    with pytest.raises(InputError, match=r"3 of its samples cannot be used, and of 12 no more than 2 may be so: a/00\.png: .*; b/05\.png: "):
        feed_samples(dataset, dataset.keys, _open(), work)


@pytest.mark.parametrize(("count", "allowed"), [(1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (40, 2), (60, 3), (1000, 50)])
def test_allowed(count: int, allowed: int) -> None:
    """One in twenty may be bad, two in any case, and never more than a third."""
    assert count_allowed(count) == allowed
    skipped = [Skip(key=str(place), problem="bad") for place in range(allowed)]
    check_skipped(Path("set"), skipped, count)
    with pytest.raises(InputError, match="cannot be used"):
        check_skipped(Path("set"), [*skipped, Skip(key="last", problem="bad")], count)


def test_ready(tmp_path: Path, work: Path) -> None:
    """What the model is fed with goes by the contract, and must be what the model takes."""
    ready = np.random.default_rng(0).random((5, 3, SIDE, SIDE)).astype(np.float32)
    np.savez_compressed(tmp_path / "a.npz", x=ready)
    dataset = open_dataset(tmp_path / "a.npz", contract=PHOTOS)
    assert np.array_equal(feed_samples(dataset, dataset.keys, _open(), work).inputs["x"], ready)
    np.savez(tmp_path / "b.npz", x=ready.astype(np.float64))
    dataset = open_dataset(tmp_path / "b.npz", contract=PHOTOS)
    with pytest.raises(InputError, match=r"field 'x' is float64\[5, 3, 16, 16\], and float32\[n, 3, 16, 16\] is expected"):
        feed_samples(dataset, dataset.keys, _open(), work)


def test_strings(tmp_path: Path, work: Path) -> None:
    """A model that takes strings is fed with strings of any length."""
    np.savez(tmp_path / "a.npz", text=np.array(["go", "stop now"]))
    dataset = open_dataset(tmp_path / "a.npz")
    pipeline = _open(Processing(), TensorSpec(name="text", dtype="bytes", shape=("n",)))
    assert feed_samples(dataset, dataset.keys, pipeline, work).inputs["text"].tolist() == [b"go", b"stop now"]


def test_masks(tmp_path: Path, work: Path) -> None:
    """Masks are kept on disk too, each of its own size."""
    masks = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 3, SIDE, SIDE), np.float32), labels=masks)
    dataset = open_dataset(tmp_path / "a.npz")
    prepared = feed_samples(dataset, dataset.keys, _open(), work)
    assert all(np.array_equal(np.asarray(truth), mask) for truth, mask in zip(prepared.truths, masks, strict=True))
    assert (work / "masks.bin").stat().st_size == masks.nbytes


def test_objects(detection: Path, work: Path) -> None:
    """Boxes stay with their pictures, and the scene leads back to those."""
    dataset = open_dataset(detection / "instances.json", contract=PHOTOS)
    prepared = feed_samples(dataset, dataset.keys, _open(), work)
    assert [len(truth.classes) for truth in prepared.truths if isinstance(truth, Boxes)] == [2, 0, 1]
    scene = prepared.items[0].scene
    assert scene is not None
    assert scene.size == (64, 48)


def test_other_shape(photos: Path, work: Path) -> None:
    """Samples that become tensors of different shapes are refused with the step that is missing."""
    feature = Feature(name="photo", kind="image", feeds="x", steps=(Color(order="RGB"), Scale(factor=1), Layout(axes="CHW")))
    contract = Processing(inputs=(feature,))
    small = (photos / "b" / "11.png").read_bytes()
    pipeline = _open(contract, TensorSpec(name="x", dtype="float32", shape=("n", 3, "height", "width")))
    dataset = open_dataset(photos, contract=contract)
    assert feed_samples(dataset, dataset.keys, pipeline, work).inputs["x"].shape == (12, 3, 48, 64)
    from PIL import Image

    Image.open(photos / "b" / "11.png").resize((20, 20)).save(photos / "b" / "11.png")
    assert (photos / "b" / "11.png").read_bytes() != small
    with pytest.raises(InputError, match=r"b/11\.png: it becomes float32\[3, 20, 20\] for 'x', and those before it float32\[3, 48, 64\]"):
        feed_samples(dataset, dataset.keys, pipeline, work)


def test_nothing(photos: Path, work: Path) -> None:
    """No sample at all is refused, and a directory that is not there is named."""
    dataset = open_dataset(photos, contract=PHOTOS)
    with pytest.raises(InputError, match="none of its samples was read"):
        feed_samples(dataset, [], _open(), work)
    with pytest.raises(DeviceError, match="nothing can be made there"):
        feed_samples(dataset, dataset.keys, _open(), work / "absent")


def test_progress(photos: Path, work: Path) -> None:
    """Who waits is told how far it is."""
    told: list[tuple[str, int, int]] = []
    dataset = open_dataset(photos, contract=PHOTOS)
    feed_samples(dataset, dataset.keys[:2], _open(), work, lambda *step: told.append(step))
    assert told == [("reading photos", 0, 2), ("reading photos", 1, 2)]


class _Endless:
    """As many samples of a megabyte as are asked for, with masks of a megabyte."""

    kind, path, classes, files = "made", Path("made"), (), ()
    keys = tuple(map(str, range(200)))

    def read(self, key: str) -> Sample:
        if key == "7":
            raise BadSample(key, "it is the seventh")
        return Sample(key, {"x": np.full((512, 512), int(key), np.float32)}, np.zeros((1024, 1024), np.uint8), ready=True)

    def find_file(self, key: str) -> Path | None:
        return None

    def find_class(self, key: str) -> int | None:
        return None


def test_memory(work: Path) -> None:
    """Memory does not grow with the number of samples: 400 MB pass through ten."""
    spec = TensorSpec(name="x", dtype="float32", shape=("n", 512, 512))
    dataset: Any = _Endless()
    tracemalloc.start()
    prepared = feed_samples(dataset, dataset.keys, _open(Processing(), spec), work)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20
    assert prepared.inputs["x"].nbytes == 199 << 20
    assert prepared.inputs["x"][198, 0, 0] == 199
