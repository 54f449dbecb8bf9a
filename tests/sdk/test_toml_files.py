"""TOML that may come from anybody."""

import time

import pytest

from edgekit.toml_files import MAX_PARTS, decode_toml


def test_a_document_becomes_fields():
    """Tables, dotted keys and strings with many dots are read as TOML has them."""
    dots = ". " * 500
    assert decode_toml(f'x.y = 1\nlabels = ["{dots}", "b"]\n'.encode()) == {"x": {"y": 1}, "labels": [dots, "b"]}
    assert decode_toml(("mean = [" + "0.485, " * 500 + "]").encode()) == {"mean": [0.485] * 500}


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 300_000) + " = 1",
        "[" + " . ".join(['"a"', "'b'"] * 50_000) + "]",
        "x = {" + ".".join(["a"] * (MAX_PARTS + 1)) + " = 1}",
        "n = " + "9" * 5000,
        "a = " + "[" * 100_000,
        "a" * 1_000_000,
        '"' * 1_000_000,
        "a " * 500_000,
    ],
    ids=["dotted", "header", "inline", "digits", "deep", "bare", "quotes", "spaces"],
)
def test_what_would_take_for_ever_is_refused_at_once(text):
    """Keys of thousands of parts, numbers of thousands of digits and deep values end in one error, within seconds of work."""
    start = time.process_time()
    with pytest.raises(ValueError, match=r"."):
        decode_toml(text.encode())
    assert time.process_time() - start < 5
