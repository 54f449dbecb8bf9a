"""Labels are the model's own, class for class."""

import pytest

from edgekit.contract import Processing
from edgekit.errors import InputError
from edgekit.processing.labels import check_labels, encode_labels
from edgekit.processing.outputs import find_output
from edgekit.tensors import TensorSpec

OUTPUT = find_output("answer.output", "y", [TensorSpec(name="y", dtype="float32", shape=("n", 3))])


def test_labels_are_utf8_and_classes_without_one_their_number() -> None:
    """Labels come as bytes, and a class that has none as its number."""
    contract = Processing(labels=("cat", "Kälb"))
    assert encode_labels(contract, [1, 0, 7]).tolist() == ["Kälb".encode(), b"cat", b"7"]
    assert encode_labels(contract, []).dtype.kind == "S"


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c", "d")])
def test_one_label_too_few_or_too_many_is_refused(labels: tuple[str, ...]) -> None:
    """A list of another length than the classes is refused, since it may be shifted by one."""
    with pytest.raises(InputError, match=rf"labels: there are {len(labels)}, and the output y: float32\[n, 3\] has 3 classes"):
        check_labels(Processing(labels=labels), OUTPUT, 3)


def test_a_class_that_is_none_needs_no_label() -> None:
    """Where the last class is the background it may have a label or not, and without labels nothing is refused."""
    for labels in (("a", "b"), ("a", "b", "none"), ()):
        check_labels(Processing(labels=labels), OUTPUT, 3, nameless=1)
    check_labels(Processing(labels=("a",)), OUTPUT, "classes")
