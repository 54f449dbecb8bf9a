"""TFLite files, taken apart and really probed."""

from dataclasses import replace

import pytest

from edgekit_converters.probing.tflite_cases import collect_tflite_cases
from edgekit_converters.probing.tflite_prober import TFLiteProber


@pytest.fixture(scope="module")
def judged(onnx2tf, find_case):
    """What LiteRT does with the operators that an arc cosine becomes, by operator and whether it is quantised."""
    trials = collect_tflite_cases([find_case("Acos"), find_case("Acos", dtype="int8", is_quantised=True)])
    with TFLiteProber() as prober:
        return {(trial.form.operator, trial.form.is_quantised): (prober.probe(trial), trial) for trial in trials}


def test_an_operator_that_xnnpack_takes_is_native(judged) -> None:
    """A square root goes to the delegate."""
    assert judged["SQRT", False][0].state == "native"


def test_an_operator_outside_of_it_falls_back(judged) -> None:
    """ATAN2 in float32 and a square root in int8 run by built-in kernels, and give the answers that they gave within the whole."""
    assert judged["ATAN2", False][0].reason == "outside of XNNPACK: ATAN2"
    assert judged["SQRT", True][0].reason == "outside of XNNPACK: SQRT"


def test_a_wrong_answer_is_refused(judged) -> None:
    """The same file with other answers expected of it is not called good."""
    _, trial = judged["SQRT", False]
    other = {name: array + 1 for name, array in trial.expected.items()}
    with TFLiteProber() as prober:
        assert prober.probe(replace(trial, expected=other)).reason == "wrong answers: other values"


def test_forms_tell_what_is_quantised_and_constant(judged) -> None:
    """An operator of int8 with scales is quantised; one whose second operand lies in the file has it as a constant."""
    assert judged["SQRT", True][1].form.dtype == "int8"
    assert judged["SUB", False][1].form.constants == "first"
