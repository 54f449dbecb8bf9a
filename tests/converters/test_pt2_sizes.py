"""Sizes of exported programs, told from code."""

import pytest

from edgekit_converters.pt2_sizes import is_size

SYMBOL = "Symbol('s77', positive=True, integer=True)"


@pytest.mark.parametrize(
    "text",
    [
        SYMBOL,
        f"Add({SYMBOL}, Integer(2))",
        f"Mul(Integer(-1), Pow({SYMBOL}, Integer(2)))",
        f"FloorDiv({SYMBOL}, Integer(4))",
        f"Pow({SYMBOL}, Rational(1, 2))",
        f"Eq({SYMBOL}, Integer(1))",
        "2*s0 + 3",
        "4",
    ],
)
def test_sizes_are_let_through(text: str) -> None:
    """Sums, products, quotients and small powers of symbols, as torch writes them in either form, are sizes."""
    assert is_size(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "s0.__class__",
        "Symbol('__import__')",
        'Symbol("s0\'); import os")',
        "[s0 for s0 in ()]",
        "lambda: 0",
        "(s0)(s1)",
        "Symbol('s0', cls=s1)",
        "9**9**9**9",
        "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
        "s0**(s1**9)",
        "1 << 99999",
        "Add(" * 400 + ")" * 400,
        "9" * 3000,
        "s0 +",
        "",
    ],
)
def test_all_else_is_refused(text: str) -> None:
    """What Python could run, look up, or count with for ever is no size."""
    assert not is_size(text)
