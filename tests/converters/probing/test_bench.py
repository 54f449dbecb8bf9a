"""Judging what came out: right or wrong answers, and the telling part of a runtime's message."""

import numpy as np
import pytest

from edgekit.operator_support import Judgement
from edgekit_converters.probing.bench import Observation, find_deviation, judge, shorten

_OPENVINO = """RuntimeError: Exception from src/inference/src/cpp/core.cpp:84:
Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
Model wasn't fully converted. Failed operations detailed log:
-- QuantizeLinear-11 with a message:
Check '(data_et.is_static())' failed at src/frontends/onnx/frontend/src/op/quantize_linear.cpp:95:
While validating ONNX node '<Node(QuantizeLinear): y>':
"x" input data type must be static.

Summary:
-- No conversion rule found for operations: Det-11
"""


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (_OPENVINO, "No conversion rule found for operations: Det"),
        (
            "NotImplemented: [ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Pow(12) node with name ''",
            "Could not find an implementation for Pow",
        ),
        (
            "RuntimeError: tflite/kernels/add.cc:439 Type UINT32 is unsupported by op Add.Node number 0 (ADD) failed to invoke.",
            "RuntimeError: Type UINT32 is unsupported by op Add.Node number 0 (ADD) failed to invoke.",
        ),
        (
            "Fail: [ONNXRuntimeError] : 1 : FAIL : Exception: /src/deep.h:53 onnx::LSTMBase::LSTMBase(const Info&) [with T = float] layout was 1.",
            "Exception: layout was 1.",
        ),
        ("Failed: node 'LSTMSequence_263769' in /tmp/some/where.onnx", "Failed: node 'LSTMSequence' in …"),
    ],
)
def test_reasons_are_the_same_in_each_run(message, told) -> None:
    """Paths, numbers of nodes and versions, which would differ from run to run or case to case, are left out."""
    assert shorten(message) == told


def test_a_long_reason_is_cut() -> None:
    """Nobody reads more than a line."""
    assert len(shorten("word " * 200)) < 170


def test_answers_are_held_against_the_right_ones(find_case) -> None:
    """Right within the tolerance, wrong beyond it, in another shape, or where one is missing."""
    case = find_case("Relu")
    (name, right), *_ = case.expected.items()
    assert find_deviation({name: right * (1 + 1e-5)}, case) == ""
    assert find_deviation({name: right + 1}, case) == "wrong answers: other values"
    assert "shape" in find_deviation({name: right[:1]}, case)
    assert find_deviation({}, case) == f"it has no output {name!r}"
    assert find_deviation({name: np.moveaxis(right, 1, -1)}, case, any_layout=True) == ""


def test_a_wrong_answer_is_a_refusal_only_where_the_meaning_is_sure(find_case) -> None:
    """An older version may mean something else by the same words."""
    ran = Judgement(state="native")
    newest, older = find_case("Relu"), find_case("Relu", since=6)
    wrong = Observation({}, wrong="wrong answers: other values")
    assert judge(newest, wrong, ran) == Judgement(state="refused", reason=wrong.wrong)
    assert judge(older, wrong, ran) is None
    assert judge(older, Observation({}, error="no kernel"), ran) == Judgement(state="refused", reason="no kernel")
    assert judge(newest, Observation({}), ran) == ran


def test_what_is_random_is_held_in_shape_alone(find_case) -> None:
    """Nobody can foretell what Bernoulli answers."""
    case = find_case("Bernoulli")
    (name, right), *_ = case.expected.items()
    assert find_deviation({name: np.ones_like(right)}, case) == ""
