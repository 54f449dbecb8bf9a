"""OpenVINO IR as a source: kept as it is, quantised, made into nothing else, and read without trust."""

from pathlib import Path

import numpy as np
import openvino
import pytest
from msgspec.structs import replace

from edgekit.conversion import Calibration, Order, SourceModel, SourceOptions
from edgekit.errors import ConversionError, InputError
from edgekit.precisions import find_precision
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import open_session
from edgekit_converters import openvino_source
from edgekit_converters.openvino_source import OpenVINOSource
from edgekit_converters.openvino_target import OpenVINOTarget

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def network() -> openvino.Model:
    """Two layers on pictures of 8x8 with any batch, under the names "image" and "scores"."""
    from openvino import opset13 as operators

    image = operators.parameter([-1, 1, 8, 8], np.float32, name="image")
    image.set_layout(openvino.Layout("NCHW"))
    first = operators.constant(RNG.normal(0, 0.3, (16, 1, 3, 3)).astype(np.float32))
    features = operators.relu(operators.convolution(image, first, [1, 1], [1, 1], [1, 1], [1, 1]))
    flat = operators.reshape(features, np.array([0, -1]), special_zero=True)
    scores = operators.matmul(flat, operators.constant(RNG.normal(0, 0.05, (1024, 5)).astype(np.float32)), False, False)
    image.output(0).set_names({"image"})
    scores.output(0).set_names({"scores"})
    return openvino.Model([operators.result(scores)], [image], "network")


@pytest.fixture
def save(tmp_path, network):
    """The network as IR with its weights in half or single precision."""

    def write(*, half: bool = False, name: str = "given") -> Path:
        path = tmp_path / f"{name}.xml"
        openvino.save_model(network, path, compress_to_fp16=half)
        return path

    return write


@pytest.fixture
def load(tmp_path):
    """What the loader makes of a file."""

    def read(path: Path, **options) -> SourceModel:
        workspace = tmp_path / f"workspace-{path.stem}"
        workspace.mkdir(exist_ok=True)
        return OpenVINOSource().load(path, workspace, SourceOptions(**options))

    return read


def _pictures(count: int = 4) -> np.ndarray:
    return RNG.normal(size=(count, 1, 8, 8)).astype(np.float32)


def _run(source: SourceModel, image: np.ndarray, artifact=None, directory: Path | None = None) -> np.ndarray:
    artifact = artifact or source.artifact
    path = (directory or source.directory) / artifact.files[0].path
    with open_session(path, artifact, source.inputs, source.outputs, find_runtime("openvino")) as session:
        return session.infer({"image": image})["scores"]


def _convert(source: SourceModel, precision: str, directory: Path, calibration: Calibration | None = None):
    directory.mkdir()
    return OpenVINOTarget().convert(source, Order(find_precision(precision), calibration), directory)


def test_is_found_by_name_and_by_content(tmp_path, save) -> None:
    """A graph is accepted under any name, and a file that ends in .xml is taken, so that what is wrong with it is told."""
    graph = save()
    other = graph.rename(tmp_path / "network.ir")
    (tmp_path / "notes.xml").write_text("<notes/>")
    (tmp_path / "notes.txt").write_text("notes")
    found = [OpenVINOSource().accepts(path) for path in (other, tmp_path / "notes.xml", tmp_path / "notes.txt", tmp_path, tmp_path / "none.xml")]
    assert found == [True, True, False, False, False]


def test_specs_are_those_of_the_runtime(save, load) -> None:
    """Names, layout and shapes are read from the file, and both files are listed."""
    source = load(save())
    assert source.inputs[0].shape == ("input0_dim0", 1, 8, 8)
    assert (source.inputs[0].name, source.inputs[0].layout, source.outputs[0].name) == ("image", "NCHW", "scores")
    assert [file.name for file in source.files] == ["given.xml", "given.bin"]


@pytest.mark.parametrize(("half", "precision"), [(False, "fp32"), (True, "fp16")])
def test_is_kept_byte_by_byte(tmp_path, save, load, half, precision) -> None:
    """Ordered in the numbers in which it came, it is the user's own file."""
    path = save(half=half)
    _convert(load(path), precision, tmp_path / "made")
    for suffix in (".xml", ".bin"):
        assert (tmp_path / "made" / "model").with_suffix(suffix).read_bytes() == path.with_suffix(suffix).read_bytes()


def test_half_precision_may_be_widened_and_quantised(tmp_path, save, load) -> None:
    """Weights in half precision are still those of a float model: fp32 has the same answers, and int8 is made of it."""
    source = load(save(half=True))
    assert (source.precision, source.suggested) == ("fp32", ("fp16", "int8"))
    image = _pictures(32)
    wanted = _run(source, image)
    full = _convert(source, "fp32", tmp_path / "fp32")
    np.testing.assert_allclose(_run(source, image, full, tmp_path / "fp32"), wanted, atol=1e-5)
    assert full.files[1].length > 1.8 * source.artifact.files[1].length
    small = _convert(source, "int8", tmp_path / "int8", Calibration({"image": image}))
    deviation = np.abs(_run(source, image, small, tmp_path / "int8") - wanted)
    assert 0 < deviation.mean() < 0.02 * np.ptp(wanted)


def test_integers_are_kept(tmp_path, save, load) -> None:
    """IR that is quantised already says so, and is kept as it is."""
    _convert(load(save()), "int8", tmp_path / "int8", Calibration({"image": _pictures(16)}))
    source = load(tmp_path / "int8" / "model.xml")
    assert (source.precision, source.suggested) == ("int8", ("int8",))
    kept = _convert(source, "int8", tmp_path / "kept")
    assert kept.files == source.artifact.files


@pytest.mark.parametrize("precision", ["int8-weights", "int8-dynamic", "int4-weights"])
def test_integer_weights_are_told_from_static_int8(tmp_path, load, precision) -> None:
    """Where only weights are integers, the source names the precision in which it came."""
    from openvino import opset13 as operators

    x = operators.parameter([-1, 128], np.float32, name="x")
    hidden = x
    for _ in range(3):
        hidden = operators.matmul(hidden, operators.constant(RNG.normal(0, 0.1, (128, 128)).astype(np.float32)), False, True)
    x.output(0).set_names({"x"})
    hidden.output(0).set_names({"y"})
    openvino.save_model(openvino.Model([operators.result(hidden)], [x], "products"), tmp_path / "given.xml", compress_to_fp16=False)
    _convert(load(tmp_path / "given.xml"), precision, tmp_path / "made")
    source = load(tmp_path / "made" / "model.xml")
    assert (source.precision, source.suggested) == (find_precision(precision).number, (precision,))


def test_goes_to_openvino_only(save, load) -> None:
    """Other formats are told that IR cannot be turned back."""
    with pytest.raises(ConversionError, match="OpenVINO IR cannot be turned back"):
        load(save()).find_form("tflite", "torch", "onnx")


def test_shape_fixes_sizes(tmp_path, save, load) -> None:
    """A size can be fixed by the name of the tensor or of the axis, and the file has it then."""
    by_tensor = load(save(name="tensor"), shapes={"image": (2, None, None, None)})
    by_axis = load(save(name="axis"), shapes={"input0_dim0": (2,)})
    assert by_tensor.inputs == by_axis.inputs == (replace(by_tensor.inputs[0], shape=(2, 1, 8, 8)),)
    assert by_tensor.outputs[0].shape == (2, 5)
    assert _run(by_tensor, _pictures(2)).shape == (2, 5)


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"picture": (1, 1, 8, 8)}, "no such input or size"),
        ({"image": (1, 8, 8)}, "it has 3 sizes"),
        ({"image": (1, 3, 8, 8)}, "it makes image"),
        ({"input0_dim0": (1, 2)}, "it names one size"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(save, load, shapes, problem) -> None:
    """A name that is not there, too few sizes, and a size that stands against the model's are refused by the option."""
    with pytest.raises(InputError, match=problem):
        load(save(), shapes=shapes)


def test_borders_are_not_rewritten(save, load) -> None:
    """Another dtype at the border is refused, with OpenVINO's own way to it."""
    with pytest.raises(InputError, match="PrePostProcessor"):
        load(save(), dtypes={"image": "uint8"})


def test_missing_weights_are_named(save, load) -> None:
    """Without its .bin the graph is refused, and the file that lacks is named."""
    path = save()
    path.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match=r"there is no given\.bin"):
        load(path)


def test_what_openvino_refuses_is_told_of_the_given_file(save, load) -> None:
    """A graph that is whole and makes no sense is refused under the name that the user gave it."""
    path = save()
    path.write_text(path.read_text().replace('type="Convolution"', 'type="Convulsion"'))
    with pytest.raises(InputError, match=r"given\.xml: openvino cannot load it.*Convulsion"):
        load(path)


def test_crash_takes_nobody_away(save, load, monkeypatch) -> None:
    """Where the process that reads the graph dies, that is an error like any other."""
    monkeypatch.setattr(openvino_source, "_WORKER", "edgekit_converters.no_such_worker")
    with pytest.raises(InputError, match="the process that read it ended"):
        load(save())


def test_shapes_that_openvino_works_out_are_bounded(tmp_path, load) -> None:
    """A graph of a few bytes that would make terabytes is refused by the layer that does, before anything runs."""
    from openvino import opset13 as operators

    x = operators.parameter([1, 1], np.float32, name="x")
    huge = operators.broadcast(x, operators.constant(np.array([1 << 20, 1 << 20])))
    x.output(0).set_names({"x"})
    huge.output(0).set_names({"y"})
    path = tmp_path / "huge.xml"
    openvino.save_model(openvino.Model([operators.result(huge)], [x], "huge"), path, compress_to_fp16=False)
    # What the file says of its own shapes is not believed.
    path.write_text(path.read_text().replace(f"<dim>{1 << 20}</dim>", "<dim>1</dim>"))
    with pytest.raises(InputError, match="1099511627776 elements"):
        load(path)


def test_weights_that_have_no_name_here_are_refused(tmp_path, load) -> None:
    """Weights in a type that edgekit has no precision for are named."""
    from openvino import opset13 as operators

    x = operators.parameter([-1, 4], np.float32, name="x")
    table = openvino.op.Constant(openvino.Type.nf4, openvino.Shape([4, 4]), np.zeros(16))
    y = operators.matmul(x, operators.convert(table, "f32"), False, False)
    openvino.save_model(openvino.Model([operators.result(y)], [x], "codes"), tmp_path / "codes.xml", compress_to_fp16=False)
    with pytest.raises(InputError, match="stored as nf4"):
        load(tmp_path / "codes.xml")
