"""How unusual an item is, and from when on it is an anomaly."""

import numpy as np
import pytest

from edgekit.arrays import Array, Arrays
from edgekit.contract import Anomaly, Feature, Processing, Quantize
from edgekit.errors import InputError
from edgekit.processing.anomalies import prepare_anomalies
from edgekit.processing.base import Fed
from edgekit.tensors import Quantization, TensorSpec

SOUND = Feature(name="sound", kind="audio", feeds="x")


def read(values: Array, given: Array | None = None, feature: Feature = SOUND, spec: TensorSpec | None = None, **options: object) -> Arrays:
    reading = Anomaly(output="y", of=None if given is None else "x", **options)
    spec = spec or TensorSpec(name="y", dtype="float32", shape=("n", *values.shape[1:]))
    return prepare_anomalies(reading, Processing(inputs=(feature,), answer=reading), [spec])(
        {"y": values}, Fed({} if given is None else {"x": given})
    )


@pytest.mark.parametrize(("distance", "score"), [("mse", 2.5), ("mae", 1.5)])
def test_the_distance_is_the_mean_over_all_windows(distance: str, score: float) -> None:
    """The score is the mean over every number of every window of the item, float32."""
    answer = read(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [2.0, 2.0]]), distance=distance)
    assert answer["score"].tolist() == [score]
    assert answer["score"].dtype == np.float32
    assert set(answer) == {"score"}


def test_a_model_may_give_the_score_itself() -> None:
    """Without an input to hold it against, the output is the score, averaged over windows."""
    assert read(np.array([[1.0], [2.0]]))["score"].tolist() == [1.5]


@pytest.mark.parametrize(("score", "expected"), [(0.5, False), (0.51, True), (np.nan, True), (np.inf, True)])
def test_above_the_threshold_it_is_an_anomaly(score: float, expected: bool) -> None:
    """At the threshold it is none, above it is one, and so is a score that is no number."""
    assert read(np.array([[score]]), threshold=0.5)["is_anomaly"].tolist() == [expected]


@pytest.mark.filterwarnings("error")
def test_infinities_that_cancel_are_an_anomaly() -> None:
    """An infinite value that was rebuilt as an infinite one is no number, and so an anomaly."""
    answer = read(np.array([[np.inf, 0.0]]), np.array([[np.inf, 0.0]]), threshold=0.5)
    assert (np.isnan(answer["score"]).tolist(), answer["is_anomaly"].tolist()) == ([True], [True])


def test_quantised_tensors_are_compared_in_real_numbers() -> None:
    """What was fed in int8 and answered in int8 is compared as what both stand for."""
    feature = Feature(name="sound", kind="audio", feeds="x", steps=(Quantize(dtype="int8", scale=0.5, zero_point=1),))
    spec = TensorSpec(name="y", dtype="int8", shape=("n", 2), quantization=Quantization(scale=(0.25,), zero_point=(0,)))
    assert read(np.array([[8, 4]], np.int8), np.array([[5, 1]], np.int8), feature, spec, distance="mae")["score"].tolist() == [0.5]


def test_another_shape_than_what_was_fed_is_refused() -> None:
    """An output that is no rebuilt input cannot be held against it."""
    with pytest.raises(InputError, match=r"output 'y': it has shape \[1, 2\], and the input that it is held against \[1, 3\]"):
        read(np.zeros((1, 2)), np.zeros((1, 3)))


def test_an_input_that_nothing_feeds_is_refused() -> None:
    """The message names the input and those that are fed."""
    reading = Anomaly(output="y", of="z")
    with pytest.raises(InputError, match=r"answer\.of: it names the input 'z', and the inputs that are fed are x"):
        prepare_anomalies(reading, Processing(inputs=(SOUND,), answer=reading), [TensorSpec(name="y", dtype="float32", shape=("n", 2))])
