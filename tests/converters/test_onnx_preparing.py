"""An ONNX file is written so that the oldest runtime of its devices reads it."""

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit_converters.onnx_preparing import drop_unused_domains

pytestmark = pytest.mark.workstation


def make_model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A model from x to y by *nodes*, with more domains than they need."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    domains = {"": 17, "ai.onnx.ml": 5, "com.microsoft": 1, "org.pytorch.aten": 1}
    imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]), opset_imports=imports)


def test_only_the_domains_in_use_are_named() -> None:
    """Domains that no operator is from are left out: ONNX Runtime 1.17 refuses a file for a newer one, used or not."""
    model = make_model(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"))
    drop_unused_domains(model)
    assert {one.domain: one.version for one in model.opset_import} == {"": 17, "com.microsoft": 1}


def test_domains_used_in_branches_stay() -> None:
    """An operator inside of a branch counts as well as one outside."""
    inner = helper.make_graph([helper.make_node("Gelu", ["x"], ["z"], domain="com.microsoft")], "b", [], [helper.make_empty_tensor_value_info("z")])
    always = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    model = make_model(always, helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))
    drop_unused_domains(model)
    assert [one.domain for one in model.opset_import] == ["", "com.microsoft"]
