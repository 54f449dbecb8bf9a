"""Quantities as people read them: three figures, a unit, and "unknown" for what could not be taken."""

from math import isclose

#: What is shown for a figure that could not be taken.
UNKNOWN = "unknown"
#: What is shown for a figure that this machine could not take, since it lacks the accelerator that the variant is for.
NOT_MEASURED = "not measured here"
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"


def format_bytes(count: int | None) -> str:
    """A size in binary units."""
    if count is None:
        return UNKNOWN
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 999.5:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{format_figures(size)} {unit}"


def format_mb(megabytes: float | None) -> str:
    """An amount of memory that is given in MiB."""
    return UNKNOWN if megabytes is None else format_bytes(round(megabytes * (1 << 20)))


def format_ms(milliseconds: float | None) -> str:
    """A duration, in µs, ms or s."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 0.9995:
        return f"{format_figures(milliseconds * 1000)} µs"
    if milliseconds < 999.5:
        return f"{format_figures(milliseconds)} ms"
    return f"{format_figures(milliseconds / 1000)} s"


def format_share(share: float | None) -> str:
    """A share between zero and one as per cent."""
    return UNKNOWN if share is None else f"{share:.1%}"


def format_agreement(top1: float | None, boxes: float | None) -> str:
    """The share of answers that are the source's: of a detector's boxes where these were compared, else of highest classes; a dash for neither."""
    if boxes is not None:
        return f"{format_share(boxes)} of boxes"
    return "-" if top1 is None else format_share(top1)


def format_ratio(ratio: float | None) -> str:
    """How many times as much."""
    return UNKNOWN if ratio is None else f"{format_figures(ratio)}{TIMES}"


def format_deviation(deviation: float | None) -> str:
    """A difference, however small: two figures, with an exponent where it needs one."""
    return UNKNOWN if deviation is None else f"{deviation:.2g}"


def format_change(change: float) -> str:
    """A difference of two values of a metric, with its sign."""
    if isclose(change, 0, abs_tol=5e-5):
        return "\N{PLUS-MINUS SIGN}0"
    return f"{change:+.4f}".replace("-", MINUS)


def format_figures(value: float) -> str:
    """*value*, which is not negative, with three figures and no exponent."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
