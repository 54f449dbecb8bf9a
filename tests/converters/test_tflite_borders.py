"""The borders of a TFLite file as one run of it shows them, in a process of its own."""

from pathlib import Path

import pytest

from edgekit.artifacts import Artifact
from edgekit.errors import InputError
from edgekit_converters.tflite_borders import describe_tflite
from edgekit_converters.tflite_outline import read_outline

DATA = Path(__file__).with_name("data")
RUNTIMES = Path(__file__).parents[1] / "sdk" / "runtimes" / "data"


def describe(path: Path) -> Artifact:
    return describe_tflite(path, read_outline(path), Path("given.tflite"))


def test_a_batch_that_varies_has_one_name() -> None:
    """Where a file takes any number of samples, inputs and outputs name it alike."""
    artifact = describe(RUNTIMES / "affine.tflite")
    assert [binding.native.shape for binding in (*artifact.inputs, *artifact.outputs)] == [("batch", 3), ("batch", 2)]


def test_a_fixed_batch_stays() -> None:
    """Where a file takes two samples, that is what is shown."""
    artifact = describe(RUNTIMES / "affine_int8.tflite")
    assert [binding.native.shape for binding in (*artifact.inputs, *artifact.outputs)] == [(2, 3), (2, 2)]


def test_a_batch_that_only_seems_to_vary_is_one(change) -> None:
    """A file that says that its batch varies, and has a batch of one written into a reshape, is shown with one."""

    def let_vary(model):
        for tensor in model.subgraphs[0].tensors:
            if tensor.buffer == 0:
                tensor.shapeSignature = [-1, *tensor.shape[1:]]

    artifact = describe(change(DATA / "detector.tflite", let_vary))
    assert [binding.native.shape[0] for binding in (*artifact.inputs, *artifact.outputs)] == [1, 1, 1, 1, 1]


def test_shapes_that_the_file_leaves_out_are_seen(change) -> None:
    """Outputs without a shape, as detectors have them, get the one that comes out."""

    def forget(model):
        for index in model.subgraphs[0].outputs:
            model.subgraphs[0].tensors[index].shape = []

    artifact = describe(change(DATA / "detector.tflite", forget))
    assert [binding.native.shape for binding in artifact.outputs] == [(1, 5, 4), (1, 5), (1, 5), (1,)]


def test_what_cannot_be_run_is_the_file_s_fault(change) -> None:
    """An operator that the runtime does not have makes an error that names the user's file and the operator."""

    def rename(model):
        code = next(code for code in model.operatorCodes if code.customCode)
        code.customCode = b"Nobodys_Operator"

    with pytest.raises(InputError, match=r"given\.tflite: it cannot be run: .*Nobodys_Operator"):
        describe(change(DATA / "detector.tflite", rename))
