"""Selections: which devices a line of text means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.selection import Facts, parse_selection

ROOF = Facts("roof-1", "raspberry-pi-4", frozenset(), {"site": "roof", "ring": "1"})
HOST = Facts("host-1", "nvidia-gpu", frozenset({"nvidia", "coral"}), {"site": "cellar"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {"roof-1", "host-1"}),
        ("  ", {"roof-1", "host-1"}),
        ("class=raspberry-pi-4", {"roof-1"}),
        ("class!=raspberry-pi-4", {"host-1"}),
        ("device=host-1", {"host-1"}),
        ("accelerator=coral", {"host-1"}),
        ("accelerator!=nvidia", {"roof-1"}),
        ("accelerator=none", {"roof-1"}),
        ("accelerator!=none", {"host-1"}),
        ("site=roof", {"roof-1"}),
        ("site=roof,ring=1", {"roof-1"}),
        ("site=roof,ring=2", set()),
        (" site = roof , ring != 2 ", {"roof-1"}),
        ("ring!=1", {"host-1"}),
        ("colour=red", set()),
        ("site=Roof", set()),
    ],
)
def test_a_selection_means_these_devices(text: str, wanted: set[str]) -> None:
    """A comma is *and*; a label that a device does not have differs from every value; case counts."""
    selection = parse_selection(text)
    assert {one.device for one in (ROOF, HOST) if selection.matches(one)} == wanted


@pytest.mark.parametrize("text", ["site", "=roof", "site=", "site=roof,", ",", "site==roof", "a=b!=c", "!=x", "si te=x", "site>roof", "<b>=1"])
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    """The message has the part that cannot be read and says how to write one."""
    with pytest.raises(InputError, match=r"is no condition.*class=raspberry-pi-4"):
        parse_selection(text)


def test_a_selection_has_a_bound() -> None:
    """A very long one is refused before it is looked into."""
    with pytest.raises(InputError, match="500 is the most"):
        parse_selection("a=b," * 1000)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["=", "!="]), NAMES), max_size=5))
def test_its_text_says_the_same(terms: list[tuple[str, str, str]]) -> None:
    """A selection written out and read again is the same, and only the empty one is everybody."""
    selection = parse_selection(",".join(map("".join, terms)))
    assert parse_selection(str(selection)) == selection
    assert selection.is_everybody is (not terms)
