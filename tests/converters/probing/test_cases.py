"""Cases: every operator that onnx has a one-node test of, in several forms, each a valid model with right answers."""

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from edgekit_converters.probing.cases import MOST_CASES, collect_cases


def test_every_case_passes_the_checker() -> None:
    """Whatever a runtime refuses, the model was valid ONNX."""
    for case in collect_cases(["Conv", "Squeeze", "Gather", "DequantizeLinear", "If"]):
        onnx.checker.check_model(case.model, full_check=True)


def test_a_model_means_the_version_it_stands_for() -> None:
    """The opset of each model is the operator's version, or 11 where that is older, so that no newer opset alone is refused."""
    found = {(case.form.since, case.model.opset_import[0].version) for case in collect_cases(["Relu", "Gelu"])}
    assert found == {(6, 11), (13, 13), (14, 14), (20, 20)}


def test_inputs_are_given_or_constant() -> None:
    """A convolution is asked with its weights given, and with them in the file, since delegates often take only the latter."""
    cases = {case.form.constants: case for case in collect_cases(["Conv"]) if case.name == "basic_conv_with_padding" and case.form.since == 22}
    assert (list(cases["none"].inputs), len(cases["none"].model.graph.initializer)) == (["x", "W"], 0)
    assert (list(cases["rest"].inputs), [one.name for one in cases["rest"].model.graph.initializer]) == (["x"], ["W"])
    assert (list(cases["first"].inputs), [one.name for one in cases["first"].model.graph.initializer]) == (["W"], ["x"])


def test_another_element_type_has_its_own_answers() -> None:
    """In int64 the same operator is fed with whole numbers, and what is right is what onnx's reference answers to those."""
    case = next(case for case in collect_cases(["Add"]) if case.form.dtype == "int64" and case.form.constants == "none")
    assert {array.dtype for array in (*case.inputs.values(), *case.expected.values())} == {np.dtype(np.int64)}
    np.testing.assert_array_equal(ReferenceEvaluator(case.model).run(None, case.inputs)[0], next(iter(case.expected.values())))


def test_the_number_of_cases_of_a_form_is_bounded() -> None:
    """Resize has dozens of tests, and some of them, spread over all, are enough."""
    counts: dict[object, int] = {}
    for case in collect_cases(["Resize"]):
        counts[case.form] = counts.get(case.form, 0) + 1
    assert MOST_CASES >= max(counts.values()) > MOST_CASES // 2


def test_outputs_that_models_leave_out_are_left_out() -> None:
    """Every test of layer normalisation asks for the mean too, which few models do."""
    newest = [case for case in collect_cases(["LayerNormalization"]) if case.form.dtype == "float32" and case.form.constants == "none"]
    counts = [len(case.expected) for case in newest]
    assert counts.count(1) >= len(counts) - 1


def test_ids_are_unique() -> None:
    """A journal tells cases apart by their ids."""
    ids = [case.id for case in collect_cases(["Add", "Resize", "Reshape"])]
    assert len(ids) == len(set(ids))


def test_types_that_numpy_lacks_are_left_out() -> None:
    """Casts to bfloat16 or float8 cannot be held against anything, and so are unknown."""
    assert {case.expected["output"].dtype.isbuiltin for case in collect_cases(["Cast"])} == {1}
