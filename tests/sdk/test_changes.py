"""Two records are told apart field by field, in words."""

from edgekit.changes import Change, compare_texts, compare_values
from edgekit.manifest import Deviation
from edgekit.tensors import TensorSpec


def test_each_field_that_differs_is_named() -> None:
    """Fields inside of fields have what leads to them; what is equal, absent or empty in both is not told."""
    before = {"a": 1, "b": {"c": [1, 2], "d": None}, "e": [{"f": True}], "same": "x"}
    after = {"a": 1.5, "b": {"c": [1, 3], "d": ""}, "e": [{"f": False}], "same": "x"}
    changes = {one.what: (one.before, one.after) for one in compare_values(before, after)}
    assert changes == {"a": ("1", "1.5"), "b.c": ("1, 2", "1, 3"), "e[0].f": ("yes", "no")}


def test_records_are_compared_as_they_are_written() -> None:
    """Two records of one kind are compared by their fields, with the subject before their names."""
    first, second = (TensorSpec(name="x", dtype="float32", shape=("n", size)) for size in (3, 4))
    assert compare_values(first, second, "input x") == [Change(what="input x.shape", before="n, 3", after="n, 4")]
    assert compare_values(first, first) == []


def test_floats_that_differ_in_single_precision_read_differently() -> None:
    """Nine figures tell any two values of float32 apart."""
    (change,) = compare_values(Deviation(max_abs=0.1, mean_abs=0.100000001), Deviation(max_abs=0.1, mean_abs=0.100000009))
    assert change.before != change.after


def test_what_came_and_what_went_is_empty_on_one_side() -> None:
    """A name that only one side has is empty on the other."""
    changes = compare_texts({"gone": "1", "both": "2"}, {"both": "2", "new": "3"})
    assert changes == [Change(what="gone", before="1", after=""), Change(what="new", before="", after="3")]
