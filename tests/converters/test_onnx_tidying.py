"""From a model that was read to the hub: what the user asks for first, and then passes until nothing changes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import InputError
from edgekit_converters.onnx_hub_records import HubRequest
from edgekit_converters.onnx_tidying import read_hub


@pytest.fixture
def tidy(tmp_path):
    """Reads a model into a hub here, in this process: the report, and the hub."""

    def run(model: onnx.ModelProto, **options):
        given, hub = tmp_path / "given.onnx", tmp_path / "hub.onnx"
        given.write_bytes(model.SerializeToString())
        report = read_hub(HubRequest(path=str(given), hub=str(hub), subject="brought.onnx", **options), announce=lambda _: None)
        return report, onnx.load(hub)

    return run


def _branch(node: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph([node], "branch", [], [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)])


def test_branches_in_branches_are_opened_until_none_is_left(make_model, tidy) -> None:
    """Each round opens one level, and a pass that changed something in several rounds is named once."""
    node = helper.make_node("Neg", ["x"], ["z0"])
    for level in range(1, 6):
        branch = _branch(node)
        node = helper.make_node("If", ["yes"], [f"z{level}"], then_branch=branch, else_branch=branch)
    model = make_model([node, helper.make_node("Relu", ["z5"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {"yes": np.array(True)})
    report, hub = tidy(model)
    assert "If" not in {one.op_type for one in hub.graph.node}
    assert report.passes.count("DropBranches") == 1


def test_size_that_the_user_fixes_is_folded(make_model, tidy) -> None:
    """Once --shape fixes the batch, what is computed from the batch is a constant."""
    nodes = [helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Reshape", ["x", "shape"], ["y"])]
    model = make_model(nodes, {"x": ["n", 4]}, {"y": ["n", 4]})
    assert [one.op_type for one in tidy(model)[1].graph.node] == ["Shape", "Reshape"]
    assert [one.op_type for one in tidy(model, shapes={"n": (2,)})[1].graph.node] == ["Reshape"]


def test_norm_and_pooling_go_on_the_way(make_model, tidy) -> None:
    """A batch norm and a pooling over everything leave the hub as one convolution and global pooling."""
    rng = np.random.default_rng(1)
    weights = {"w": rng.normal(size=(6, 3, 3, 3)).astype(np.float32)}
    weights |= {name: rng.uniform(0.5, 2, 6).astype(np.float32) for name in ("scale", "shift", "mean", "variance")}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"]),
        helper.make_node("AveragePool", ["b"], ["y"], kernel_shape=[1280, 1280], strides=[1280, 1280], ceil_mode=1),
    ]
    report, hub = tidy(make_model(nodes, {"x": ["n", 3, 8, 8]}, {"y": ["n", 6, 1, 1]}, weights))
    assert [one.op_type for one in hub.graph.node] == ["Conv", "GlobalAveragePool"]
    assert len(hub.graph.initializer) == 2
    assert report.outputs[0].shape == ("n", 6, 1, 1)


def test_layout_of_the_callers_is_in_the_specs(make_conv, tidy) -> None:
    """Where callers give colours last, the spec says so, and where nothing is said it says what the shape tells."""
    assert tidy(make_conv())[0].inputs[0].layout == "NCHW"
    spec = tidy(make_conv(), layouts={"image": ("NCHW", "NHWC")})[0].inputs[0]
    assert (spec.layout, spec.shape) == ("NHWC", ("batch", 8, 8, 3))


def test_quantised_model_is_known(make_model, tidy) -> None:
    """A model with integers that stand for real numbers came in int8."""
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = make_model(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, {"q": np.ones((4, 2), np.int8), "s": np.float32(0.1)})
    assert tidy(model)[0].precision == "int8"


def test_what_the_user_says_is_held_against_the_users_file(make_conv, tidy) -> None:
    """Options that do not fit name what the user brought."""
    with pytest.raises(InputError, match=r"^brought\.onnx: --dtype"):
        tidy(make_conv(), dtypes={"picture": "uint8"})
