"""The data of a build: samples are taken as was asked, and what is wrong with them is said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.build_data import CALIBRATION_SAMPLES, DataSet, choose_keys, digest_data, find_truths, judge_data, open_data, prepare_data
from edgekit.build_request import BuildRequest
from edgekit.contract import Feature, Processing, Windows
from edgekit.contract_choice import Choice
from edgekit.datasets.registry import open_dataset
from edgekit.datasets.streaming import Item, Prepared, Skip
from edgekit.errors import InputError
from edgekit.files import digest_file
from edgekit.metrics.base import Answers
from edgekit.metrics.registry import find_metric
from edgekit.processing.pipeline import open_pipeline
from edgekit.tensors import TensorSpec

X = TensorSpec(name="x", dtype="float32", shape=("n", 4))


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def write(path: Path, count: int, **more: Any) -> Path:
    rows = np.arange(count * 4, dtype=np.float32).reshape(count, 4)
    np.savez(path, x=rows, **more)
    return path


@pytest.fixture
def choice(tmp_path: Path) -> Choice:
    """No contract: callers give x."""
    return Choice(open_pipeline(Processing(), [X], [], tmp_path), tmp_path)


def prepare(path: Path, choice: Choice, **asked: Any) -> DataSet:
    request = BuildRequest(Path("model.onnx"), path.parent / "bundle", **asked)
    return prepare_data(open_data(path, None), "calibration", request, choice, path.parent / "fed", quiet)


@pytest.mark.parametrize(("samples", "calibration", "evaluation"), [(None, CALIBRATION_SAMPLES, 400), (50, 50, 50), (1000, 400, 400)])
def test_so_many_samples_are_taken(tmp_path: Path, samples: int | None, calibration: int, evaluation: int) -> None:
    """Three hundred calibrate and all evaluate, unless another number is asked for."""
    data = open_data(write(tmp_path / "data.npz", 400), None)
    request = BuildRequest(Path("model.onnx"), tmp_path / "bundle", samples=samples)
    assert len(choose_keys(data, "calibration", request)) == calibration
    assert len(choose_keys(data, "evaluation", request)) == evaluation


def test_what_was_taken_is_recorded(tmp_path: Path, choice: Choice) -> None:
    """The record counts the samples and has the seed; another seed takes others; a file's digest is its own."""
    path = write(tmp_path / "data.npz", 400)
    data = prepare(path, choice, seed=3)
    assert (data.use.samples, data.use.available, data.use.seed, data.use.kind) == (300, 400, 3, "npz")
    assert data.digest == digest_file(path)
    request = BuildRequest(Path("model.onnx"), tmp_path / "bundle", seed=4)
    other = prepare_data(data.dataset, "calibration", request, choice, tmp_path / "again", quiet)
    assert other.use.taken != data.use.taken


def test_folders_have_the_digest_of_what_was_taken(tmp_path: Path) -> None:
    """A folder of pictures is what its taken files are: another byte in one of them makes it another set, and in no other."""
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(4):
            (tmp_path / "data" / name / f"{index}.png").write_bytes(b"picture %d" % index)
    data = open_dataset(tmp_path / "data", contract=Processing(inputs=(Feature(name="image", kind="image", feeds="x"),)))
    keys = ["a/1.png", "b/2.png"]
    before = digest_data(data, keys)
    (tmp_path / "data" / "a" / "0.png").write_bytes(b"other")
    assert digest_data(data, keys) == before
    (tmp_path / "data" / "a" / "1.png").write_bytes(b"other")
    assert digest_data(data, keys) != before


def test_samples_that_need_a_contract_need_one(tmp_path: Path) -> None:
    """A folder of pictures without a contract is refused with the two ways to give one."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.png").write_bytes(b"picture")
    with pytest.raises(InputError, match=r"a set of the kind files, and nothing says how.*--task TASK.*--processing FILE"):
        open_data(tmp_path / "data", None)


@pytest.mark.parametrize(("most", "left"), [(100, 100), (30, 25), (1, 1)])
def test_windows_calibrate_in_bounded_numbers(tmp_path: Path, most: int, left: int) -> None:
    """Where an item gives many rows, evenly spread ones of all items are taken."""
    spec = TensorSpec(name="x", dtype="float32", shape=("n", 10, 2))
    feature = Feature(name="rows", kind="series", feeds="x", steps=(Windows(length=10, hop=10),))
    choice = Choice(open_pipeline(Processing(inputs=(feature,)), [spec], [], tmp_path), tmp_path, "a test")
    np.savez(tmp_path / "rows.npz", rows=np.arange(5 * 200 * 2, dtype=np.float32).reshape(5, 200, 2))
    dataset = open_data(tmp_path / "rows.npz", choice.contract)
    data = prepare_data(dataset, "calibration", BuildRequest(Path("m"), tmp_path / "b"), choice, tmp_path / "fed", quiet)
    assert data.prepared.n == 100
    assert data.to_calibration(most).n == left
    assert data.find_keys([0, 19, 20, 99]) == ["0", "1", "4"]


def test_labels_are_needed_where_the_metric_is_about_them(tmp_path: Path, choice: Choice) -> None:
    """Without labels top-1 is refused, and cosine takes the source model's own vectors for true."""
    data = prepare(write(tmp_path / "data.npz", 40), choice)
    answers = Answers({"y": np.eye(40)})
    with pytest.raises(InputError, match="40 of its 40 samples have no label, and top1 needs one of each"):
        find_truths(data, find_metric("top1"), answers)
    assert np.array_equal(find_truths(data, find_metric("cosine"), answers), np.eye(40))


def test_what_was_skipped_and_what_is_doubtful_is_told(tmp_path: Path, choice: Choice) -> None:
    """Skipped samples are counted with the first of them, and four samples are too few to calibrate by in silence."""
    data = prepare(write(tmp_path / "data.npz", 4), choice)
    skipped = replace(data, prepared=Prepared(data.prepared.inputs, data.prepared.items, (Skip(key="7", problem="it is damaged"),)))
    told = judge_data(skipped)
    assert told[0] == "calibration data data.npz: 1 samples were skipped, the first 7: it is damaged"
    assert any("there are 4 samples to calibrate by" in sentence for sentence in told)


def test_noise_is_called_so(tmp_path: Path, choice: Choice) -> None:
    """Calibrating by noise never passes in silence."""
    spec = TensorSpec(name="x", dtype="float32", shape=("n", 32, 32))
    rows = np.random.default_rng(0).normal(size=(64, 32, 32)).astype(np.float32)
    prepared = Prepared({"x": rows}, tuple(Item(str(index), index, index + 1) for index in range(64)))
    data = prepare(write(tmp_path / "data.npz", 64), choice)
    noisy = replace(data, prepared=prepared, pipeline=open_pipeline(Processing(), [spec], [], tmp_path))
    assert any("looks like noise" in sentence for sentence in judge_data(noisy))
