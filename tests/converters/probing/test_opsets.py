"""Versions of operators, and models said in older ones."""

import pytest

from edgekit_converters.probing.cases import collect_cases
from edgekit_converters.probing.opsets import list_versions, restate


@pytest.mark.parametrize(
    ("operator", "versions"),
    [("Conv", (11, 22)), ("Softmax", (11, 13)), ("Relu", (6, 13, 14)), ("Gelu", (20,)), ("NoSuchOperator", ())],
)
def test_versions_are_those_from_opset_11_on(operator, versions) -> None:
    """The version in force at opset 11 is the first, however old it is."""
    assert list_versions("", operator) == versions


def test_an_input_that_was_an_attribute_becomes_one() -> None:
    """Squeeze had its axes as an attribute until opset 13."""
    case = next(case for case in collect_cases(["Squeeze"]) if case.form.constants == "none" and case.form.since == 25)
    older = restate(case.model, 11, case.inputs)
    assert older is not None
    assert [value.name for value in older.graph.input] == ["x"]
    assert [(one.name, list(one.ints)) for one in older.graph.node[0].attribute] == [("axes", case.inputs["axes"].tolist())]
    assert older.opset_import[0].version == 11


def test_what_an_older_version_cannot_say_is_not_restated() -> None:
    """Antialiasing came with Resize 18."""
    case = next(case for case in collect_cases(["Resize"]) if "antialias" in case.name and case.form.since == 19)
    assert restate(case.model, 13, case.inputs) is None
