"""LiteRT by way of onnx2tf, really probed: an operator of each kind."""

import pytest

from edgekit_converters.probing.litert_prober import LiteRTProber


@pytest.fixture(scope="module")
def prober(onnx2tf):
    with LiteRTProber() as opened:
        yield opened


def test_an_operator_that_xnnpack_takes_is_native(prober, find_case) -> None:
    """A convolution with its weights in the file goes to the delegate whole, in float32 and, quantised, in int8."""
    assert prober.probe(find_case("Relu")).state == "native"
    assert prober.probe(find_case("Add", dtype="int8", is_quantised=True)).state == "native"


@pytest.mark.parametrize(
    ("operator", "wanted", "reason"),
    [
        ("Acos", {}, "outside of XNNPACK: ATAN2"),
        ("Add", {"dtype": "int64"}, "outside of XNNPACK: CAST, ADD"),
        ("Softmax", {"dtype": "int8", "is_quantised": True}, "outside of XNNPACK: SOFTMAX"),
    ],
)
def test_an_operator_outside_of_it_falls_back(prober, find_case, operator, wanted, reason) -> None:
    """A built-in kernel runs what the delegate leaves."""
    judgement = prober.probe(find_case(operator, **wanted))
    assert (judgement.state, judgement.reason) == ("fallback", reason)


def test_an_operator_that_cannot_be_said_is_refused(prober, find_case) -> None:
    """onnx2tf writes a convolution whose weights are given as an operator of its own, which LiteRT does not know."""
    judgement = prober.probe(find_case("Conv"))
    assert judgement.state == "refused"
    assert "ONNX_CONV" in judgement.reason


def test_a_crash_of_the_runtime_is_a_refusal(prober, find_case) -> None:
    """LiteRT aborts on an addition of plain bytes, and the probing goes on with the next operator."""
    judgement = prober.probe(find_case("Add", dtype="uint8"))
    assert (judgement.state, judgement.reason) == ("refused", "the process died: SIGABRT")
    assert prober.probe(find_case("Relu")).state == "native"
