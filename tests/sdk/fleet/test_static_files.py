"""Files over HTTP: whole, in part, and never from outside."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.fleet.static_files import find_part, open_below


@pytest.mark.parametrize(
    ("wanted", "start", "end", "is_partial"),
    [
        (None, 0, 100, False),
        ("bytes=0-", 0, 100, True),
        ("bytes=0-0", 0, 1, True),
        ("bytes=10-19", 10, 20, True),
        ("bytes=90-1000", 90, 100, True),
        ("bytes=-10", 90, 100, True),
        ("bytes=-1000", 0, 100, True),
        # What a server may ignore (RFC 9110, section 14.2): several ranges, other units, nonsense.
        ("bytes=0-1,4-5", 0, 100, False),
        ("lines=0-1", 0, 100, False),
        ("bytes=-", 0, 100, False),
        ("bytes=a-b", 0, 100, False),
    ],
)
def test_ranges_are_read_as_the_standard_has_them(wanted: str | None, start: int, end: int, is_partial: bool) -> None:
    """Each form of a range of 100 bytes gives the bytes that RFC 9110 says."""
    assert find_part(wanted, 100) == (start, end, is_partial)


@pytest.mark.parametrize(("wanted", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=20-10", 100)])
def test_a_range_outside_the_file_has_no_bytes(wanted: str, size: int) -> None:
    """What lies outside cannot be satisfied, and is told from the whole file."""
    part = find_part(wanted, size)
    assert part.is_partial
    assert part.start >= part.end


@given(st.text(max_size=30) | st.from_regex(r"bytes=[0-9]{0,20}-[0-9]{0,20}", fullmatch=True), st.integers(0, 1 << 40))
def test_a_part_never_reaches_outside_the_file(wanted: str, size: int) -> None:
    """Whatever a client asks for, there is no byte before the beginning or after the end."""
    part = find_part(wanted, size)
    assert part.start >= 0
    assert part.end <= size


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository beside a secret, with links and hidden files in it."""
    root = tmp_path / "root"
    (root / "metadata").mkdir(parents=True)
    (root / "metadata" / "1.root.json").write_text("root")
    (root / ".lock").write_text("hidden")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "inside").symlink_to(root / "metadata" / "1.root.json")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize("path", ["/metadata/1.root.json", "metadata//1.root.json", "/inside"])
def test_files_of_the_repository_are_given(root: Path, path: str) -> None:
    """A file below the root is opened, also through a link that stays inside."""
    with open_below(root, path) or pytest.fail(path) as file:
        assert file.read() == b"root"


@pytest.mark.parametrize(
    "path", ["", "/", "/metadata", "/../secret", "/metadata/../../secret", "/link", "/.lock", "/pipe", "/nothing", "/a\0b", "/" + "x" * 5000]
)
def test_nothing_else_is_there(root: Path, path: str) -> None:
    """Directories, hidden names, what climbs or links out, pipes and nonsense are all just not there."""
    assert open_below(root, path) is None
