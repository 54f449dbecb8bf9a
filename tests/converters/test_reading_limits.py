"""What reading may take grows with the file."""

from edgekit_converters.reading_limits import limit_reading


def test_limits_grow_with_the_size() -> None:
    """A small file has seconds and a gigabyte, and a large one more of both, in proportion."""
    small, large = limit_reading(1000), limit_reading(1 << 30)
    assert small.seconds < 60
    assert small.memory < 2 << 30
    assert large.memory - small.memory > 8 << 30
    assert large.seconds - small.seconds > 60
