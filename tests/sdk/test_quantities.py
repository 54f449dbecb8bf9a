import pytest

from edgekit.quantities import (
    MINUS,
    format_agreement,
    format_bytes,
    format_change,
    format_deviation,
    format_mb,
    format_ms,
    format_ratio,
    format_share,
)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1024, "1.00 KiB"), (1_048_575, "1.00 MiB"), (120_400, "118 KiB"), (1 << 40, "1.00 TiB")]
)
def test_sizes_have_three_figures_and_a_binary_unit(count, text):
    """A size is shown with three figures in the largest binary unit that it fills."""
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0.0183, "18.3 µs"), (0.99951, "1.00 ms"), (12.345, "12.3 ms"), (999.6, "1.00 s"), (90_000, "90.0 s")]
)
def test_durations_have_three_figures_and_the_unit_that_fits(milliseconds, text):
    """A duration goes from microseconds to milliseconds to seconds without a figure of four digits."""
    assert format_ms(milliseconds) == text


@pytest.mark.parametrize("formatted", [format_bytes, format_ms, format_mb, format_share, format_ratio, format_deviation])
def test_what_could_not_be_taken_is_unknown(formatted):
    """None is shown as unknown, never as zero."""
    assert formatted(None) == "unknown"
    assert formatted(0) != "unknown"


@pytest.mark.parametrize(
    ("top1", "boxes", "text"), [(0.984, None, "98.4%"), (None, 0.9312, "93.1% of boxes"), (0.5, 0.0, "0.0% of boxes"), (None, None, "-")]
)
def test_what_agrees_is_said(top1, boxes, text):
    """A detector's agreement is that of its boxes, a classifier's that of its highest classes, and without either there is none."""
    assert format_agreement(top1, boxes) == text


def test_a_change_has_its_sign():
    """A metric's change shows a plus or a real minus, and no sign where it is nought."""
    assert [format_change(0.01), format_change(-0.01), format_change(1e-9)] == ["+0.0100", f"{MINUS}0.0100", "±0"]
