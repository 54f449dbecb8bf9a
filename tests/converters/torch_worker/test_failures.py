"""What failures say in one line."""

import pytest

from edgekit_converters.torch_worker.failures import tell_cause, tell_failure


def fail(error: Exception, cause: Exception | None = None) -> Exception:
    """*error* as it is once it was raised."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_a_failure_names_its_kind_its_reason_and_its_line() -> None:
    """The first paragraph of the message is told, on one line, with the line of code that raised it."""
    told = tell_failure(fail(ValueError("no weights\nhere\n\nSee the documentation.")))
    assert told == f"ValueError: no weights here (test_failures.py, line {fail.__code__.co_firstlineno + 3})"


def test_the_line_that_a_message_names_is_told() -> None:
    """torch.export names the line of the model that it cannot follow in its message, which says more than its own."""
    words = 'Could not guard\n\nThe following call raised this error:\n  File "/home/me/net.py", line 10, in forward\n    return x if x.sum() else -x'
    assert tell_failure(RuntimeError(words)) == "RuntimeError: Could not guard (net.py, line 10)"


def test_long_messages_are_cut() -> None:
    """A message of thousands of letters does not fill the terminal."""
    assert len(tell_failure(RuntimeError("x" * 9999))) <= 600


@pytest.mark.parametrize("more", ["Original exception Traceback (most recent call last):\n  File 'a'", "Position: 0\nValue: (tensor([0.1]),)"])
def test_code_and_numbers_of_torchs_own_are_left_out(more) -> None:
    """A traceback, or the elements of a tensor, inside of a message say nothing to whoever reads it."""
    assert tell_failure(RuntimeError(f"no such operator\n{more}")) == "RuntimeError: no such operator"


def test_the_cause_of_a_chain_is_told_with_its_operator() -> None:
    """torch.onnx wraps its errors: the first one is told, with the operator that a later one names."""
    outer = fail(RuntimeError("at %x : [target=torch.ops.aten.svd.default](args)"), fail(ValueError("only 4D")))
    told = tell_cause(outer)
    assert told.startswith("ValueError: only 4D (")
    assert told.endswith(", at aten.svd.default")
