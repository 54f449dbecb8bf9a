"""ONNX Runtime, really probed: an operator of each kind."""

import pytest

from edgekit.errors import DeviceError
from edgekit_converters.probing.onnx_runtime_prober import OnnxRuntimeProber


@pytest.fixture(scope="module")
def prober():
    with OnnxRuntimeProber() as opened:
        yield opened


def test_an_operator_with_a_kernel_is_native(prober, find_case) -> None:
    """A convolution runs by its own kernel, in float32 and, with Q and DQ round it, in int8."""
    assert prober.probe(find_case("Conv", constants="rest")).state == "native"
    assert prober.probe(find_case("Conv", constants="rest", dtype="int8", is_quantised=True)).state == "native"


@pytest.mark.parametrize(
    ("operator", "wanted", "reason"),
    [
        ("Mish", {}, "it has no kernel of its own and runs as Softplus, Tanh, Mul"),
        ("Conv", {"dtype": "float16"}, "it has no kernel for float16 and runs in another type between casts"),
        ("Det", {"dtype": "int8", "is_quantised": True}, "it runs in float32 between Q and DQ, as Det"),
    ],
)
def test_an_operator_without_one_falls_back(prober, find_case, operator, wanted, reason) -> None:
    """Its function body runs in its place, or casts round another type's kernel, or the float one between Q and DQ."""
    judgement = prober.probe(find_case(operator, **wanted))
    assert (judgement.state, judgement.reason) == ("fallback", reason)


def test_an_operator_that_it_does_not_have_is_refused(prober, find_case) -> None:
    """RoiAlign 22 is newer than the kernels of the pinned version."""
    judgement = prober.probe(find_case("RoiAlign"))
    assert (judgement.state, judgement.reason) == ("refused", "Could not find an implementation for RoiAlign")


def test_a_python_without_the_runtime_is_named() -> None:
    """What is to be probed must be there."""
    with pytest.raises(DeviceError, match="has no onnxruntime"):
        OnnxRuntimeProber("/bin/false").find_version()
