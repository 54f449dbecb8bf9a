"""The contracts for plug-ins: edgekit's own parts keep them, and each way to break one is caught."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from edgekit.conversion import SourceOptions
from edgekit.errors import ConversionError
from edgekit_converters.contracts import check_pass, check_source, check_target
from edgekit_converters.onnx_source import OnnxSource
from edgekit_converters.onnx_target import OnnxTarget
from edgekit_converters.openvino_target import OpenVINOTarget
from edgekit_converters.passes.base import PassResult
from edgekit_converters.passes.drop_unused import DropUnused
from edgekit_converters.passes.fix_shapes import FixShapes
from edgekit_converters.passes.fold_batch_norms import FoldBatchNorms
from edgekit_converters.passes.fold_constants import FoldConstants
from edgekit_converters.passes.name_dimensions import NameDimensions
from edgekit_converters.passes.pool_globally import PoolGlobally
from edgekit_converters.passes.slim import Slim
from edgekit_converters.passes.strip_metadata import StripMetadata


@pytest.fixture
def path(make_conv, tmp_path) -> Path:
    """A small model in a file."""
    path = tmp_path / "given.onnx"
    path.write_bytes(make_conv(classes=3).SerializeToString())
    return path


@pytest.fixture
def workspace(tmp_path) -> Path:
    """Where sources leave their files."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return workspace


def test_our_source_keeps_the_contract(path, workspace) -> None:
    """ONNX as a source passes the checks, and what it read is given back."""
    assert check_source(OnnxSource(), path, workspace).inputs[0].name == "image"


@pytest.mark.parametrize("target", [OnnxTarget(), OpenVINOTarget()])
def test_our_targets_keep_the_contract(target, path, workspace) -> None:
    """Each precision that needs no calibration is made, runs, and answers as described."""
    assert "fp32" in check_target(target, OnnxSource().load(path, workspace, SourceOptions()))


PASSES = [DropUnused(), FixShapes({"batch": 2}), FoldBatchNorms(), FoldConstants(), NameDimensions(), PoolGlobally(), StripMetadata(), Slim()]


@pytest.mark.parametrize("one", PASSES, ids=lambda one: type(one).__name__)
def test_our_passes_keep_the_contract(one, make_conv) -> None:
    """Each pass keeps the answers, and says rightly whether it changed the model."""
    check_pass(one, make_conv(classes=3), {"image": np.ones((2, 3, 8, 8), np.float32)}, atol=1e-5)


class _Source(OnnxSource):
    """Reads ONNX, and then *change* spoils what it read."""

    def __init__(self, change) -> None:
        self._change = change

    def load(self, path, workspace, options):
        return self._change(super().load(path, workspace, options))


def _with_output(**changes):
    return lambda source: replace(source, outputs=(msgspec.structs.replace(source.outputs[0], **changes),))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda source: replace(source, format="other"), "it says that it reads onnx"),
        (lambda source: replace(source, files=()), "files that were brought"),
        (lambda source: replace(source, forms={}), "no form"),
        (lambda source: replace(source, absent={"onnx": "lost"}), "both there and absent"),
        (lambda source: replace(source, forms={"onnx": Path("nowhere.onnx")}), "does not exist"),
        (_with_output(name="other"), "not the source's"),
        (_with_output(shape=("batch", 7)), "came out with the shape"),
    ],
)
def test_broken_source_is_caught(change, said, path, workspace) -> None:
    """Wrong names, missing files and descriptions that are not true are told in a sentence."""
    with pytest.raises(AssertionError, match=said):
        check_source(_Source(change), path, workspace)


def test_source_that_takes_anything_is_caught(path, workspace) -> None:
    """A loader that reads noise as a model is caught."""

    class Greedy(OnnxSource):
        def accepts(self, path):
            return True

        def load(self, given, workspace, options):
            return super().load(path, workspace, options)

    with pytest.raises(AssertionError, match="as a model"):
        check_source(Greedy(), path, workspace)


def test_source_that_takes_half_a_model_is_caught(path, workspace) -> None:
    """A loader that makes up what a file lacks is caught, by the name that its files have."""

    class Generous(OnnxSource):
        def accepts(self, given):
            return given == path or given.name == "contract-cut-off.onnx"

        def load(self, given, workspace, options):
            return super().load(given if given.stat().st_size == path.stat().st_size else path, workspace, options)

    with pytest.raises(AssertionError, match="it read a file that is cut off as a model"):
        check_source(Generous(), path, workspace)


def test_broken_target_is_caught(path, workspace) -> None:
    """A target that makes another format than it says, or does not describe its file, is caught."""

    class Liar(OnnxTarget):
        def convert(self, source, order, directory):
            artifact = super().convert(source, order, directory)
            (directory / artifact.files[0].path).write_bytes(b"other")
            return artifact

    with pytest.raises(AssertionError, match="not the file that the artifact names"):
        check_target(Liar(), OnnxSource().load(path, workspace, SourceOptions()))


def test_target_that_refuses_what_it_makes_is_caught(path, workspace) -> None:
    """A target with a reason against a precision that it names among its own is caught."""

    class Torn(OnnxTarget):
        refusals = {"fp16": "It is too short."}

    with pytest.raises(AssertionError, match=r"says that it does not: \('fp16',\)"):
        check_target(Torn(), OnnxSource().load(path, workspace, SourceOptions()))


def _spoil_weights(model: onnx.ModelProto) -> PassResult:
    other = onnx.ModelProto()
    other.CopyFrom(model)
    other.graph.initializer[-1].raw_data = bytes(len(other.graph.initializer[-1].raw_data))
    return PassResult(other, modified=True)


def _change_in_place(model: onnx.ModelProto) -> PassResult:
    model.graph.node[0].name = "mine"
    return PassResult(model, modified=True)


def _rename(model: onnx.ModelProto) -> PassResult:
    data = model.SerializeToString().replace(b"scores", b"points")
    return PassResult(onnx.ModelProto.FromString(data), modified=True)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (_spoil_weights, "'scores' is off by"),
        (_change_in_place, "changed the model that it was given"),
        (_rename, r"\['points'\] of \['scores'\]"),
        (lambda model: PassResult(model, modified=True), "modified=True"),
        (lambda model: PassResult(_spoil_weights(model).model, modified=False), "modified=False"),
    ],
)
def test_broken_pass_is_caught(run, said, make_conv) -> None:
    """Other answers, other names, a change in place, and a wrong word about it are told."""
    broken = type("Broken", (), {"run": staticmethod(run)})()
    with pytest.raises(AssertionError, match=said):
        check_pass(broken, make_conv(classes=3), {"image": np.ones((2, 3, 8, 8), np.float32)})


def test_target_that_makes_nothing_is_caught(path, workspace) -> None:
    """A target that refuses every precision is caught, with its reasons."""

    class Idle(OnnxTarget):
        def convert(self, source, order, directory):
            raise ConversionError("onnx", "it is tired")

    with pytest.raises(AssertionError, match=r"nothing of the source: .*tired"):
        check_target(Idle(), OnnxSource().load(path, workspace, SourceOptions()))
