"""Whatever variant serves, callers see the source model."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.errors import DeviceError, InputError
from edgekit.runtimes.litert import LiteRT
from edgekit.runtimes.memory import MemoryModel, MemoryRuntime
from edgekit.runtimes.sessions import InferenceSession, open_session
from edgekit.tensors import Binding, Quantization, TensorSpec

PATH = Path("model.memory")
DATA = Path(__file__).with_name("data")
FILE = FileEntry(path="model.memory", digest="sha256:" + "0" * 64, length=0)


def spec(name: str, dtype: str, *shape: int | str, quantization: Quantization | None = None) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, quantization=quantization)


def open_function(function, inputs, outputs, bound_inputs=None, bound_outputs=None) -> InferenceSession:
    """A session of a function whose file-side tensors are those of the bindings."""
    bound_inputs, bound_outputs = bound_inputs or bind_identically(inputs), bound_outputs or bind_identically(outputs)
    model = MemoryModel(tuple(one.native for one in bound_inputs), tuple(one.native for one in bound_outputs), function)
    artifact = Artifact(format="memory", files=(FILE,), inputs=bound_inputs, outputs=bound_outputs)
    return open_session(PATH, artifact, inputs, outputs, MemoryRuntime({PATH: model}))


def test_names_and_order_are_the_source_s():
    """Inputs and outputs are found by the source's names, though the file has others in another order."""
    inputs = (spec("a", "float32", "n"), spec("b", "float32", "n"))
    outputs = (spec("difference", "float32", "n"), spec("sum", "float32", "n"))
    native = {"a": spec("serving_b:0", "float32", "n"), "b": spec("serving_a:0", "float32", "n")}
    model = MemoryModel(
        (native["b"], native["a"]),
        (spec("Identity", "float32", "n"), spec("Identity_1", "float32", "n")),
        lambda given: [given[1] + given[0], given[1] - given[0]],
    )
    artifact = Artifact(
        format="memory",
        files=(FILE,),
        inputs=tuple(Binding(name=name, native=native[name]) for name in ("b", "a")),
        outputs=(Binding(name="sum", native=model.outputs[0]), Binding(name="difference", native=model.outputs[1])),
    )
    with open_session(PATH, artifact, inputs, outputs, MemoryRuntime({PATH: model})) as session:
        answers = session.infer({"b": np.array([1], np.float32), "a": np.array([5], np.float32)})
    assert list(answers) == ["difference", "sum"]
    assert answers["difference"].tolist() == [4] and answers["sum"].tolist() == [6]


def test_a_file_in_nhwc_serves_a_model_in_nchw():
    """The session transposes on the way in and on the way out."""
    inputs, outputs = (spec("image", "float32", "n", 2, 3, 4),), (spec("features", "float32", "n", 2, 3, 4),)
    bound_in = (Binding(name="image", native=spec("x", "float32", "n", 3, 4, 2), permutation=(0, 2, 3, 1)),)
    bound_out = (Binding(name="features", native=spec("y", "float32", "n", 3, 4, 2), permutation=(0, 2, 3, 1)),)
    image = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    seen = []

    def double(given):
        seen.append(given[0].copy())
        return [given[0] * 2]

    with open_function(double, inputs, outputs, bound_in, bound_out) as session:
        features = session.infer({"image": image})["features"]
    np.testing.assert_array_equal(seen[0], image.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(features, image * 2)


@pytest.mark.parametrize("total", [1, 3, 4, 5, 9])
def test_any_batch_is_split_into_the_file_s_own(total):
    """A file of batch 4 answers any number of samples: parts are padded, and the padding never shows."""
    inputs, outputs = (spec("x", "float32", "n", 2),), (spec("y", "float32", "n", 2),)
    bound_in, bound_out = (Binding(name="x", native=spec("x", "float32", 4, 2)),), (Binding(name="y", native=spec("y", "float32", 4, 2)),)
    sizes = []

    def negate(given):
        sizes.append(len(given[0]))
        return [-given[0]]

    samples = np.arange(total * 2, dtype=np.float32).reshape(total, 2)
    with open_function(negate, inputs, outputs, bound_in, bound_out) as session:
        answer = session.infer({"x": samples})["y"]
    np.testing.assert_array_equal(answer, -samples)
    assert sizes == [4] * -(-total // 4)


def test_an_int8_file_serves_a_float_model():
    """A real int8 TFLite file with a batch of 2 takes and gives the source's floats, at any batch."""
    path, runtime = DATA / "affine_int8.tflite", LiteRT()
    if runtime.find_version() is None:
        pytest.skip("litert is not installed in this environment")
    native = runtime.open(path, 1)
    assert native.inputs[0].quantization == Quantization(scale=(1 / 16,), zero_point=(8,))
    assert native.inputs[0].dtype == native.outputs[0].dtype == "int8"
    bindings = {"inputs": (Binding(name="x", native=native.inputs[0]),), "outputs": (Binding(name="y", native=native.outputs[0]),)}
    native.close()
    artifact = Artifact(format="tflite", files=(FILE,), **bindings)
    samples = np.array([[1, 1, 1], [0, -1, 2], [0.5, 0.25, 0.125]], np.float32)
    expected = samples @ np.array([[1, 2, 3], [-1, 0, 1]], np.float32).T + np.array([0.5, -0.5], np.float32)
    with open_session(path, artifact, (spec("x", "float32", "n", 3),), (spec("y", "float32", "n", 2),), runtime) as session:
        answer = session.infer({"x": samples})["y"]
    assert answer.dtype == np.float32
    # The output's scale is 0.25, so rounding is off by half of that at most.
    np.testing.assert_allclose(answer, expected, atol=0.125)


@pytest.mark.parametrize(
    ("given", "named", "expected"),
    [
        ({}, "'a'", "missing"),
        ({"a": np.zeros((1, 2), np.float32)}, "'b'", "missing"),
        ({"a": np.zeros((1, 2), np.float32), "b": np.zeros(1, np.int64), "c": np.zeros(1)}, "'c'", "no such input"),
        ({"a": np.zeros((1, 2), np.float64), "b": np.zeros(1, np.int64)}, "'a'", "float64, and float32 is expected"),
        ({"a": np.zeros((1, 3), np.float32), "b": np.zeros(1, np.int64)}, "'a'", r"\[1, 3\], and \['n', 2\] is expected"),
        ({"a": np.zeros(2, np.float32), "b": np.zeros(1, np.int64)}, "'a'", "shape"),
        ({"a": np.zeros((2, 2), np.float32), "b": np.zeros(1, np.int64)}, "'b'", "differs from another input's 2"),
        ({"a": np.zeros((0, 2), np.float32), "b": np.zeros(0, np.int64)}, "'a'", "empty"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(given, named, expected):
    """An input that is missing, unknown, empty, or of another dtype, shape or batch is refused before anything runs."""
    ran = []
    inputs, outputs = (spec("a", "float32", "n", 2), spec("b", "int64", "n")), (spec("y", "float32", "n", 2),)
    with open_function(ran.append, inputs, outputs) as session, pytest.raises(InputError, match=f"{named}.*{expected}"):
        session.infer(given)
    assert not ran


@pytest.mark.parametrize("native_batch", ["n", 4])
def test_an_empty_batch_is_refused_by_every_file(native_batch):
    """No samples are refused alike by files of a dynamic and of a fixed batch."""
    inputs, outputs = (spec("x", "float32", "n", 2),), (spec("y", "float32", "n", 2),)
    bound_in = (Binding(name="x", native=spec("x", "float32", native_batch, 2)),)
    bound_out = (Binding(name="y", native=spec("y", "float32", native_batch, 2)),)
    with open_function(lambda given: given, inputs, outputs, bound_in, bound_out) as session, pytest.raises(InputError, match="empty"):
        session.infer({"x": np.zeros((0, 2), np.float32)})


def test_a_file_without_the_bound_tensor_is_refused_and_closed():
    """A file whose tensors are not those of the manifest is refused, and its session does not stay open."""
    inputs, outputs = (spec("x", "float32", "n"),), (spec("y", "float32", "n"),)
    model = MemoryModel((spec("other", "float32", "n"),), outputs, lambda given: given)
    opened = []

    class Watched(MemoryRuntime):
        def open(self, path, threads):
            opened.append(super().open(path, threads))
            return opened[0]

    artifact = Artifact(format="memory", files=(FILE,), inputs=bind_identically(inputs), outputs=bind_identically(outputs))
    with pytest.raises(InputError, match=r"no tensor 'x'.*other"):
        open_session(PATH, artifact, inputs, outputs, Watched({PATH: model}))
    with pytest.raises(DeviceError, match="closed"):
        opened[0].run([np.zeros(1, np.float32)])
