"""Passes one after the other."""

from edgekit_converters.passes.base import run_passes
from edgekit_converters.passes.fix_shapes import FixShapes
from edgekit_converters.passes.rename_tensors import RenameTensors


def test_each_pass_gets_what_the_one_before_made(make_conv) -> None:
    """Passes run in the order given, each on the model before."""
    model = run_passes(make_conv(), RenameTensors({"image": "picture"}), RenameTensors({"picture": "photo"}), FixShapes({"batch": 5}))
    value = model.graph.input[0]
    assert value.name == "photo"
    assert value.type.tensor_type.shape.dim[0].dim_value == 5


def test_no_pass_is_no_change(make_conv) -> None:
    """Without passes the model is what it was."""
    model = make_conv()
    assert run_passes(model) is model
