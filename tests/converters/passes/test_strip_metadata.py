"""Stripping: every note goes, and nothing else."""

import numpy as np
from onnx import TensorProto, helper

from edgekit_converters.passes.strip_metadata import StripMetadata


def test_every_note_goes(make_conv) -> None:
    """Notes on the model, its graph, nodes, tensors, values and branches are all cleared."""
    model = make_conv()
    inner = helper.make_graph([helper.make_node("Identity", ["features"], ["z"], doc_string="secret")], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["yes"], ["w"], then_branch=inner, else_branch=inner))
    for one in (model, model.graph, model.graph.node[0], model.graph.initializer[0], model.graph.input[0]):
        one.doc_string = "secret"
        one.metadata_props.add(key="trace", value="secret")
    result = StripMetadata().run(model)
    assert result.modified
    assert b"secret" not in result.model.SerializeToString()


def test_model_that_was_given_stays(make_conv) -> None:
    """The pass works on a copy."""
    model = make_conv()
    model.doc_string = "kept"
    StripMetadata().run(model)
    assert model.doc_string == "kept"


def test_nothing_but_notes_goes(make_conv) -> None:
    """A model without notes comes out as it went in, and is said not to have changed."""
    model = make_conv()
    result = StripMetadata().run(model)
    assert not result.modified
    assert result.model == model


def test_graph_stays_as_it_was(make_model) -> None:
    """Strings that are no notes, such as a node's name and string weights, stay."""
    model = make_model([helper.make_node("Identity", ["x"], ["y"], name="named")], {"x": [1]}, {"y": [1]}, {"unused": np.zeros(1, np.float32)})
    model.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [1], [b"kept"]))
    stripped = StripMetadata().run(model).model
    assert stripped.graph.node[0].name == "named"
    assert stripped.graph.initializer[1].string_data == [b"kept"]
