"""A build ends in a whole bundle whose every variant was proven, or in nothing new."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.bundles import MANIFEST, open_bundle
from edgekit.errors import ConversionError, DeviceError, GateRefused, InputError
from edgekit.files import digest_file
from edgekit.plugins import find_plugins

pytestmark = pytest.mark.workstation

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@pytest.fixture
def request_onnx(tmp_path: Path) -> BuildRequest:
    """Digits to ONNX alone, with data."""
    data = {name: DIGITS / f"{name}.npz" for name in ("calibration", "evaluation")}
    return BuildRequest(source=DIGITS / "digits.onnx", destination=tmp_path / "bundle", formats=("onnx",), **data)


def make_linear(path: Path, weights: np.ndarray, batch: int | str) -> Path:
    """A model of one matrix: x[batch, inputs] to y[batch, classes]."""
    inputs, classes = weights.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_bundle_holds_what_was_measured(request_onnx: BuildRequest) -> None:
    """Every variant of a bundle has parity, a tolerance that it keeps, its metric and figures; and the lineage has the digests."""
    manifest = build_bundle(request_onnx, quiet)
    bundle = open_bundle(request_onnx.destination)
    assert bundle.manifest == manifest
    assert [variant.id for variant in manifest.variants] == ["onnx-fp32", "onnx-int8"]
    for variant in manifest.variants:
        assert variant.parity.max_abs <= variant.tolerance.max_abs
        assert variant.metric is not None
        assert variant.metric.value >= variant.metric.source_value - 0.01
        assert variant.measured[0].latency_ms.p50 > 0
        assert variant.measured[0].threads == 1
    assert manifest.variants[1].size < manifest.variants[0].size / 3
    assert manifest.lineage.source_digest == digest_file(request_onnx.source)
    assert manifest.lineage.calibration_digest == digest_file(DIGITS / "calibration.npz")
    assert {"edgekit", "onnx", "onnxruntime"} <= manifest.lineage.tools.keys()
    (choice,) = manifest.defaults.values()
    assert choice.variant in {"onnx-fp32", "onnx-int8"}


def test_golden_samples_cover_the_classes(request_onnx: BuildRequest) -> None:
    """Golden samples of the digits show all ten digits, and the same request chooses the same samples."""
    request = replace(request_onnx, precisions=("fp32",), evaluation=None)
    first = build_bundle(request, quiet)
    golden = open_bundle(request.destination).read_golden()
    assert len(np.unique(golden.outputs["logits"].argmax(1))) == 10
    assert build_bundle(request, quiet).golden == first.golden


def test_without_data_only_float_variants_are_made(request_onnx: BuildRequest) -> None:
    """Without calibration and evaluation there is no metric and no int8, which is said, and the golden samples are made up."""
    manifest = build_bundle(replace(request_onnx, calibration=None, evaluation=None), quiet)
    assert [(variant.id, variant.metric) for variant in manifest.variants] == [("onnx-fp32", None)]
    assert "--calibration" in manifest.skipped[0].reason
    assert manifest.golden_origin == "synthetic"


def test_bound_that_nothing_meets_leaves_the_old_bundle(request_onnx: BuildRequest) -> None:
    """When every variant misses the bound the best is named, and a bundle that was there before stays as it was."""
    build_bundle(replace(request_onnx, precisions=("fp32",)), quiet)
    before = digest_file(request_onnx.destination / MANIFEST)
    with pytest.raises(GateRefused, match=r"The best is onnx-\w+: top1 0\.99\d\d on 500 samples.*It would pass with --max-drop 0\.00"):
        build_bundle(replace(request_onnx, max_drop=-0.5), quiet)
    assert digest_file(request_onnx.destination / MANIFEST) == before
    assert [path.name for path in request_onnx.destination.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"precisions": ("int8",), "calibration": None}, ConversionError, "--calibration"),
        ({"precisions": ("fp32", "int3")}, InputError, "int3"),
        ({"formats": ("onnx", "coreml")}, InputError, "Known here: nvidia, onnx"),
        ({"evaluation": None, "metric": "top1"}, InputError, "--evaluation"),
        ({"name": "a b"}, InputError, "--name"),
        ({"parent": "digits"}, InputError, "name@x.y.z"),
        ({"source": DIGITS / "none.onnx"}, InputError, "no such file"),
        ({"source": DIGITS / "train.py"}, InputError, "train.py"),
        ({"destination": DIGITS}, InputError, "not a bundle"),
        ({"destination": Path("/proc/bundle")}, DeviceError, "/proc/bundle"),
    ],
)
def test_what_cannot_be_made_is_refused(request_onnx: BuildRequest, change: dict[str, object], error: type[Exception], told: str) -> None:
    """What was asked for and cannot be made ends in an error that names it, and writes nothing."""
    with pytest.raises(error, match=told):
        build_bundle(replace(request_onnx, **change), quiet)
    assert list(request_onnx.destination.parent.iterdir()) == []


@pytest.mark.parametrize("batch", [1, 4, "n"])
def test_models_of_any_batch_are_built(tmp_path: Path, batch: int | str) -> None:
    """A source with a batch of one, of a fixed number, and of any number becomes a bundle that shows the same batch."""
    source = make_linear(tmp_path / "linear.onnx", np.random.default_rng(0).normal(size=(6, 5)), batch)
    manifest = build_bundle(BuildRequest(source=source, destination=tmp_path / "bundle", formats=("onnx",)), quiet)
    assert manifest.inputs[0].shape == (batch, 6)
    assert open_bundle(tmp_path / "bundle").read_golden().n >= 32


def test_a_model_that_always_answers_the_same_is_refused(tmp_path: Path) -> None:
    """A source whose answers are all alike gives no golden samples worth having."""
    source = make_linear(tmp_path / "constant.onnx", np.zeros((6, 5)), "n")
    with pytest.raises(InputError, match=r"\.onnx: .*1 different answers.*--calibration"):
        build_bundle(BuildRequest(source=source, destination=tmp_path / "bundle", formats=("onnx",)), quiet)


@pytest.fixture
def broken_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package's target, which swaps two classes on the way."""
    package = tmp_path / "package"
    metadata = package / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "entry_points.txt").write_text("[edgekit.targets]\nbroken = broken_target:Broken\n")
    (package / "broken_target.py").write_text(
        "import onnx\n"
        "from edgekit_converters.onnx_target import OnnxTarget\n"
        "class Broken(OnnxTarget):\n"
        "    def convert(self, source, order, directory):\n"
        "        model = onnx.load(source.path)\n"
        "        weights = next(one for one in model.graph.initializer if one.name == 'w')\n"
        "        array = onnx.numpy_helper.to_array(weights)[:, [1, 0, 2, 3, 4]]\n"
        "        weights.CopyFrom(onnx.numpy_helper.from_array(array.copy(), 'w'))\n"
        "        wrong = source.path.with_name('wrong.onnx')\n"
        "        onnx.save(model, wrong)\n"
        "        import dataclasses\n"
        "        return super().convert(dataclasses.replace(source, forms={'onnx': wrong}), order, directory)\n"
    )
    monkeypatch.syspath_prepend(str(package))
    assert "broken" in find_plugins("edgekit.targets")


@pytest.mark.usefixtures("broken_target")
def test_a_conversion_that_went_wrong_never_enters_a_bundle(tmp_path: Path) -> None:
    """A target that swaps two classes is refused for its answers, and leaves no file behind."""
    source = make_linear(tmp_path / "linear.onnx", np.random.default_rng(0).normal(size=(6, 5)), "n")
    request = BuildRequest(source=source, destination=tmp_path / "bundle", formats=("broken",), precisions=("fp32",))
    with pytest.raises(ConversionError, match="deviates by"):
        build_bundle(request, quiet)
    manifest = build_bundle(replace(request, formats=None), quiet)
    assert "broken-fp32" in {skipped.id for skipped in manifest.skipped}
    made = {path.name for path in (tmp_path / "bundle" / "variants").iterdir()}
    assert "onnx-fp32" in made
    assert "broken-fp32" not in made


def test_a_file_that_its_runtime_refuses_is_a_failed_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a target writes what its own runtime does not load, the format is at fault and not the caller's input."""
    package = tmp_path / "package"
    metadata = package / "garbled-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "entry_points.txt").write_text("[edgekit.targets]\ngarbled = garbled_target:Garbled\n")
    (package / "garbled_target.py").write_text(
        "from edgekit_converters.onnx_target import OnnxTarget\n"
        "class Garbled(OnnxTarget):\n"
        "    def convert(self, source, order, directory):\n"
        "        artifact = super().convert(source, order, directory)\n"
        "        (directory / 'model.onnx').write_bytes(b'garbled')\n"
        "        return artifact\n"
    )
    monkeypatch.syspath_prepend(str(package))
    source = make_linear(tmp_path / "linear.onnx", np.random.default_rng(0).normal(size=(6, 5)), "n")
    request = BuildRequest(source=source, destination=tmp_path / "bundle", precisions=("fp32",), formats=("onnx", "garbled"))
    with pytest.raises(ConversionError, match=r"--to garbled.*garbled-fp32: what was made of it does not run"):
        build_bundle(request, quiet)


def test_answers_of_yes_and_no_are_built(tmp_path: Path) -> None:
    """A model whose outputs are booleans is judged like any other."""
    weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Greater", ["y", "zero"], ["flags"])],
        "flags",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("flags", TensorProto.BOOL, ["n", 3])],
        [weights, numpy_helper.from_array(np.float32(0), "zero")],
    )
    source = tmp_path / "flags.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    manifest = build_bundle(BuildRequest(source=source, destination=tmp_path / "bundle", formats=("onnx",)), quiet)
    assert manifest.variants[0].parity.max_abs == 0.0


def test_labels_in_words_are_built(tmp_path: Path) -> None:
    """A classifier that answers with words, as exporters of scikit-learn make it, becomes a bundle with golden words."""
    words = ["cat", "dog", "owl"]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["index"], axis=1, keepdims=0),
            helper.make_node("LabelEncoder", ["index"], ["label"], domain="ai.onnx.ml", keys_int64s=[0, 1, 2], values_strings=words),
        ],
        "words",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("label", TensorProto.STRING, ["n"])],
        [numpy_helper.from_array(np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32), "w")],
    )
    source = tmp_path / "words.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8), source)
    build_bundle(BuildRequest(source=source, destination=tmp_path / "bundle", formats=("onnx",)), quiet)
    assert set(open_bundle(tmp_path / "bundle").read_golden().outputs["label"].tolist()) == {b"cat", b"dog", b"owl"}
