"""OpenVINO, really probed: an operator of each kind."""

import pytest

from edgekit_converters.probing.openvino_prober import OpenVINOProber


@pytest.fixture(scope="module")
def prober():
    with OpenVINOProber() as opened:
        yield opened


def test_an_operator_with_a_layer_is_native(prober, find_case) -> None:
    """A convolution is one layer of the plug-in, in float32 and, with Q and DQ round it and weights in the file, in int8."""
    assert prober.probe(find_case("Conv", constants="rest")).state == "native"
    assert prober.probe(find_case("Conv", constants="rest", dtype="int8", is_quantised=True)).state == "native"


@pytest.mark.parametrize(
    ("operator", "wanted", "reason"),
    [
        ("LogSoftmax", {}, "it is made of 2 layers: Reduce"),
        ("OneHot", {}, "the plug-in has no layer of its own for it and runs OpenVINO's reference implementation"),
        ("Gelu", {"dtype": "int8", "is_quantised": True}, "it runs in float32 between Q and DQ, as Subgraph"),
    ],
)
def test_an_operator_without_one_falls_back(prober, find_case, operator, wanted, reason) -> None:
    """Several layers do its work, or the reference implementation, or a float layer between Q and DQ."""
    judgement = prober.probe(find_case(operator, **wanted))
    assert (judgement.state, judgement.reason) == ("fallback", reason)


def test_an_operator_that_it_does_not_have_is_refused(prober, find_case) -> None:
    """OpenVINO has no determinant."""
    judgement = prober.probe(find_case("Det"))
    assert (judgement.state, judgement.reason) == ("refused", "No conversion rule found for operations: Det")
