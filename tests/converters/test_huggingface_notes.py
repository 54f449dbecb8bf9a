"""Fields of a Hugging Face directory's JSON: what is expected comes out, and what is not is named with what it is."""

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit_converters.huggingface_notes import MAX_BYTES, Notes, read_json, read_notes


def make_notes(**fields) -> Notes:
    return Notes(Path("preprocessor_config.json"), fields, {"size": 224, "do_resize": True})


def test_what_is_left_out_is_assumed():
    """A field that is missing or null is what transformers assumes, and one that nobody knows is None."""
    assert make_notes().find("size") == make_notes(size=None).find("size") == 224
    assert make_notes(size=5).find("size") == 5
    assert make_notes().find("other") is None
    assert make_notes().is_set("do_resize")
    assert not make_notes(do_resize=False).is_set("do_resize")
    assert not make_notes().is_set("other")


def test_fields_are_of_their_kind():
    """Numbers, counts and rows of numbers come out as such."""
    notes = make_notes(half=0.5, count=3, mean=[0.1, 1], one=2)
    assert (notes.read_number("half"), notes.read_number("count"), notes.read_count("count")) == (0.5, 3, 3)
    assert (notes.read_numbers("mean"), notes.read_numbers("one")) == ((0.1, 1.0), (2.0,))


@pytest.mark.parametrize(
    ("read", "value", "told"),
    [
        ("is_set", "yes", "field 'x' is \"yes\", and true or false is expected"),
        ("read_number", True, "is true, and a number"),
        ("read_number", float("nan"), "is NaN, and a number"),
        ("read_number", None, "is null, and a number"),
        ("read_count", 0, "is 0, and a whole number above 0"),
        ("read_count", 2.5, "is 2.5, and a whole number"),
        ("read_count", 1 << 40, "a whole number"),
        ("read_numbers", [], "a number for each channel"),
        ("read_numbers", [1, "a"], "a number for each channel"),
        ("read_numbers", "0" * 500, "0…, and a number for each channel"),
    ],
)
def test_wrong_fields_are_named(read, value, told):
    """What is of another kind is refused with the file, the field, and what it says, shortened."""
    with pytest.raises(InputError, match=f"preprocessor_config.json: .*{told}"):
        getattr(make_notes(x=value), read)("x")


@pytest.mark.parametrize(("data", "told"), [(b"[]", "no JSON object"), (b"{", "not JSON"), (b"[" * 100_000, "not JSON"), (b"\xff", "not JSON")])
def test_damaged_files_are_refused(data, told, tmp_path):
    """What is no JSON object is refused."""
    (tmp_path / "notes.json").write_bytes(data)
    with pytest.raises(InputError, match=rf"notes\.json: it (is|holds) {told}"):
        read_notes(tmp_path / "notes.json")


def test_files_that_are_missing_or_too_large_are_refused(tmp_path):
    """A file that is not there is named, and one that is larger than any such file is not read."""
    with pytest.raises(InputError, match=r"none\.json: it cannot be read"):
        read_json(tmp_path / "none.json")
    (tmp_path / "large.json").write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="more than 16 MiB"):
        read_json(tmp_path / "large.json")
