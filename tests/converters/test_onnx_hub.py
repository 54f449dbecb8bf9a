"""The hub of a source: sound, in the user's shapes, and never at the price of the process that asked."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.conversion import SourceOptions
from edgekit.errors import ConversionError, DeviceError, InputError
from edgekit.runtimes.registry import find_runtime
from edgekit_converters.onnx_hub import make_hub


@pytest.fixture
def hub_of(tmp_path: Path):
    """Makes the hub of a model with options."""

    def make(model: onnx.ModelProto | Path, subject: Path | None = None, **options):
        path = model if isinstance(model, Path) else tmp_path / "given.onnx"
        if not isinstance(model, Path):
            path.write_bytes(model.SerializeToString())
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)
        return make_hub(path, workspace, SourceOptions(**options), subject)

    return make


def _answer(hub, inputs) -> list[np.ndarray]:
    session = find_runtime("onnx").open(hub.path, 1)
    return session.run([inputs[spec.name] for spec in session.inputs])


def test_hub_is_described(make_conv, hub_of) -> None:
    """The hub lies in the workspace under the source's name, with its borders and the tool that read it."""
    hub = hub_of(make_conv(classes=3))
    assert hub.path.name == "given.onnx"
    assert [str(spec) for spec in (*hub.inputs, *hub.outputs)] == ["image: float32[batch, 3, 8, 8]", "scores: float32[batch, 3]"]
    assert (hub.precision, hub.tools) == ("fp32", {"onnx": onnx.__version__})
    assert hub.artifact.files[0].path == "given.onnx"


def test_shapes_are_fixed_in_the_file(make_conv, hub_of) -> None:
    """With --shape the specs and the file have that size, at the output too, and the pass is named."""
    hub = hub_of(make_conv(classes=3), shapes={"batch": (4,)})
    assert (hub.inputs[0].shape, hub.outputs[0].shape) == ((4, 3, 8, 8), (4, 3))
    session = find_runtime("onnx").open(hub.path, 1)
    assert (session.inputs[0].shape, session.outputs[0].shape) == ((4, 3, 8, 8), (4, 3))
    assert "FixShapes" in hub.tools["passes"]


def test_sizes_without_a_name_are_fixed_by_their_tensor(make_model, hub_of) -> None:
    """A size that the file leaves unknown is fixed by its tensor, and by the name that it gets here."""
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": [None, 4]}, {"y": [None, 4]})
    assert hub_of(model, shapes={"x": (2, 4)}).outputs[0].shape == (2, 4)
    assert hub_of(model, shapes={"input0_dim0": (3,)}).outputs[0].shape == (3, 4)


def test_shape_for_an_unknown_name_lists_the_known(make_conv, hub_of) -> None:
    """A name that the model does not have is refused with those that it has."""
    with pytest.raises(InputError, match=r"'picture'.*image: float32\[batch, 3, 8, 8\]"):
        hub_of(make_conv(), shapes={"picture": (1, 3, 8, 8)})


def test_bytes_with_colours_last_at_the_border(make_conv, hub_of) -> None:
    """A camera's picture, NHWC in bytes, gives what the same numbers gave as the model was brought."""
    model = make_conv(classes=3)
    plain = hub_of(model)
    image = np.random.default_rng(4).integers(0, 255, (2, 8, 8, 3), np.uint8)
    wanted = _answer(plain, {"image": image.transpose(0, 3, 1, 2).astype(np.float32)})[0]
    hub = hub_of(model, dtypes={"image": "uint8"}, layouts={"image": ("NCHW", "NHWC")})
    assert (hub.inputs[0].dtype, hub.inputs[0].shape, hub.inputs[0].layout) == ("uint8", ("batch", 8, 8, 3), "NHWC")
    np.testing.assert_allclose(_answer(hub, {"image": image})[0], wanted, rtol=1e-5)


def test_layout_that_cannot_be_told_is_declared(make_conv, hub_of) -> None:
    """Of a map of features nobody can tell the layout, and the user says it; the graph stays."""
    model = make_conv(channels=64)
    assert hub_of(model).inputs[0].layout is None
    hub = hub_of(model, layouts={"image": ("NCHW", "NCHW")})
    assert hub.inputs[0].layout == "NCHW"
    assert "passes" not in hub.tools


def test_branch_whose_condition_is_a_known_size_is_opened(make_model, hub_of) -> None:
    """An If that asks whether an axis is 1, as exporters write for squeeze, is gone once that size is known."""
    then = helper.make_graph(
        [helper.make_node("Squeeze", ["x", "one"], ["z"])], "then", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["w"])], "other", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, None)]
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "index"], ["size"], axis=0),
        helper.make_node("Equal", ["size", "scalar"], ["is_one"]),
        helper.make_node("If", ["is_one"], ["s"], then_branch=then, else_branch=other),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    weights = {"one": np.array([1]), "index": np.array(1), "scalar": np.array(1)}
    hub = hub_of(make_model(nodes, {"x": ["n", 1, 4]}, {"y": [None, None]}, weights))
    assert [node.op_type for node in onnx.load(hub.path).graph.node] == ["Squeeze", "Identity", "Relu"]
    assert hub.outputs[0].shape[1] == 4
    assert {"FoldConstants", "DropBranches"} <= set(hub.tools["passes"].split(", "))


def test_functions_of_its_own_are_in_their_place(make_model, hub_of) -> None:
    """A model with functions is read, and its hub has none."""
    model = make_model([helper.make_node("Twice", ["x"], ["y"], domain="own")], {"x": ["n", 4]}, {"y": ["n", 4]})
    model.opset_import.append(helper.make_opsetid("own", 1))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    assert _answer(hub_of(model), {"x": np.ones((1, 4), np.float32)})[0].tolist() == [[2.0] * 4]


@pytest.mark.parametrize(("opset", "ir_version"), [(11, 3), (13, 7), (17, 8), (20, 9), (21, 10), (22, 13)])
def test_old_and_new_opsets_and_versions_are_read(opset, ir_version, make_model, hub_of) -> None:
    """From opset 11 and IR version 3, where weights are inputs too, to the newest: the runtime here loads the hub."""
    weights = {"w": np.ones((4, 2), np.float32)}
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 2]}, weights, opset=opset)
    model.ir_version = ir_version
    if ir_version == 3:
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 2]))
    hub = hub_of(model)
    assert [spec.name for spec in hub.inputs] == ["x"]
    assert _answer(hub, {"x": np.ones((3, 4), np.float32)})[0].tolist() == [[4.0, 4.0]] * 3


def test_outputs_whose_shape_is_not_said_are_worked_out(make_model, hub_of) -> None:
    """Some exporters leave an output's shape open."""
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["n", 4]}, {"y": None})
    assert hub_of(model).outputs[0].shape == ("n", 4)


@pytest.mark.parametrize(
    ("node", "weights"),
    [
        (helper.make_node("ConstantOfShape", ["s"], ["c"]), {"s": np.array([1 << 40])}),
        (helper.make_node("Expand", ["one", "s"], ["c"]), {"one": np.float32(1), "s": np.array([1 << 40])}),
        (helper.make_node("Tile", ["row", "s"], ["c"]), {"row": np.ones(8, np.float32), "s": np.array([1 << 40])}),
        (helper.make_node("Pad", ["row", "s"], ["c"]), {"row": np.ones(8, np.float32), "s": np.array([0, 1 << 40])}),
        (helper.make_node("Resize", ["row", "", "s"], ["c"]), {"row": np.ones(8, np.float32), "s": np.array([1e12], np.float32)}),
        (helper.make_node("OneHot", ["i", "s", "v"], ["c"]), {"i": np.arange(4), "s": np.array(1 << 40), "v": np.array([0, 1], np.float32)}),
        (helper.make_node("Range", ["a", "s", "b"], ["c"]), {"a": np.array(0), "s": np.array(1 << 50), "b": np.array(1)}),
        (helper.make_node("ConstantOfShape", ["s"], ["c"]), {"s": np.array([1 << 29])}),
    ],
)
def test_constants_that_unpack_to_terabytes_are_refused(node, weights, make_model, hub_of) -> None:
    """A few bytes that stand for more than any runtime could hold when it loads the model are refused."""
    nodes = [node, helper.make_node("Cast", ["c"], ["f"], to=TensorProto.FLOAT), helper.make_node("ReduceSum", ["f"], ["r"], keepdims=0)]
    model = make_model([*nodes, helper.make_node("Add", ["x", "r"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, weights)
    with pytest.raises(InputError, match=r"given\.onnx: .*(limit|memory)"):
        hub_of(model)


def test_errors_name_what_the_user_brought(make_conv, hub_of, tmp_path) -> None:
    """Where the file was only exported of something, the refusal names that."""
    model = make_conv()
    model.graph.node[0].input[0] = "absent"
    with pytest.raises(InputError, match=r"^net\.pt2: it is not valid ONNX"):
        hub_of(model, subject=Path("net.pt2"))
    with pytest.raises(InputError, match=r"^net\.pt2: --shape"):
        hub_of(make_conv(), subject=Path("net.pt2"), shapes={"x": (1,)})


def test_plugin_package_changes_the_hub(plugin_pass, make_conv, hub_of) -> None:
    """A pass of another package runs on the hub, is named among the tools, and the hub's files are described as it left them."""
    plugin_pass("doubler", "model.graph.node[0].name = 'marked'\nreturn Result(model, True)")
    hub = hub_of(make_conv())
    assert onnx.load(hub.path).graph.node[0].name == "marked"
    assert hub.tools["passes"] == "doubler"
    assert hub.artifact.files[0].length == hub.path.stat().st_size


def test_plugins_run_in_the_order_of_their_names(plugin_pass, make_conv, hub_of) -> None:
    """Each pass gets what the one before it made, and one that changes nothing is not named."""
    plugin_pass("b-second", "model.graph.node[0].name += 'b'\nreturn Result(model, True)")
    plugin_pass("a-first", "model.graph.node[0].name += 'a'\nreturn Result(model, True)")
    plugin_pass("c-idle", "return Result(model, False)")
    hub = hub_of(make_conv())
    assert onnx.load(hub.path).graph.node[0].name.endswith("ab")
    assert hub.tools["passes"] == "a-first, b-second"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('a bug')", "it failed: KeyError: 'a bug'"),
        ("return None", "it failed: AttributeError"),
        ("model.graph.node[0].input[0] = 'absent'\nreturn Result(model, True)", "not sound: .*absent"),
        (
            "model.graph.output[0].name = 'other'\nmodel.graph.node[2].output[0] = 'other'\nreturn Result(model, True)",
            r"it made .*other.* of .*features",
        ),
    ],
)
def test_plugin_that_fails_is_named(body, said, plugin_pass, make_conv, hub_of) -> None:
    """A pass that raises, gives no result, breaks the graph or changes its border is a ConversionError with its name."""
    plugin_pass("clumsy", body)
    with pytest.raises(ConversionError, match=f"pass 'clumsy'.*{said}"):
        hub_of(make_conv())


@pytest.fixture
def plugin_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes another package with one pass, whose run() has the lines given, and puts it on the import path."""

    def make(name: str, body: str) -> None:
        root = tmp_path / f"package-{name}"
        metadata = root / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        module = f"pass_{name.replace('-', '_')}"
        (metadata / "entry_points.txt").write_text(f"[edgekit.passes]\n{name} = {module}:Plugin\n")
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        head = "from edgekit_converters.passes.base import PassResult as Result\n\n\nclass Plugin:\n    def run(self, model):\n"
        (root / f"{module}.py").write_text(f"{head}{lines}\n")
        monkeypatch.syspath_prepend(str(root))

    yield make
    for module in [one for one in sys.modules if one.startswith("pass_")]:
        del sys.modules[module]


def test_without_onnx_it_says_how_to_get_it(make_conv, hub_of, monkeypatch) -> None:
    """On a device that has no onnx the model is refused with the command that installs it."""
    monkeypatch.setattr("edgekit_converters.packages.find_package_version", lambda _: None)
    with pytest.raises(DeviceError, match=r"onnx is not installed here.*edgekit\[convert\]"):
        hub_of(make_conv())
