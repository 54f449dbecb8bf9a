"""Two contracts are told apart step by step."""

import pytest
from msgspec.structs import replace

from edgekit.artifacts import FileEntry
from edgekit.contract import Classify, Color, Crop, Feature, Layout, Normalize, Processing, Resize, Scale
from edgekit.contract_changes import compare_contracts
from edgekit.files import digest_bytes

STEPS = (Resize(width=256, height=256), Crop(width=224, height=224), Scale(factor=1 / 255), Normalize(mean=(0.5,), std=(0.25,)), Layout(axes="CHW"))
CONTRACT = Processing(
    task="classify", inputs=(Feature(name="photo", kind="image", feeds="x", steps=STEPS),), answer=Classify(output="y"), labels=("cat", "dog")
)


def change_steps(*steps: object) -> Processing:
    return replace(CONTRACT, inputs=(replace(CONTRACT.inputs[0], steps=steps),))


def tell(after: Processing | None) -> dict[str, tuple[str, str]]:
    return {one.what: (one.before, one.after) for one in compare_contracts(CONTRACT, after)}


def test_equal_contracts_do_not_differ() -> None:
    """Two equal contracts have no change, and neither have two bundles without one."""
    assert compare_contracts(CONTRACT, change_steps(*STEPS)) == []
    assert compare_contracts(None, None) == []


def test_a_setting_that_changed_is_named_with_its_step() -> None:
    """One setting of one step is told with the feature, the step's place and name, and both values."""
    after = change_steps(replace(STEPS[0], interpolation="bicubic"), *STEPS[1:])
    assert tell(after) == {"photo, step 1 resize.interpolation": ("bilinear", "bicubic")}


def test_a_step_that_came_in_moves_none_of_the_others() -> None:
    """A new step is told alone, and the steps behind it are the same as before."""
    told = tell(change_steps(STEPS[0], Color(order="BGR"), *STEPS[1:]))
    assert told == {"photo, step 2": ("", "color: order BGR")}


def test_a_step_that_went_and_one_in_its_place_are_told() -> None:
    """A step that went has nothing after it; another in its place stands beside it."""
    assert tell(change_steps(*STEPS[:2], *STEPS[3:])) == {"photo, step 3": ("scale: factor 0.00392156863, offset 0", "")}
    told = tell(change_steps(STEPS[0], Color(order="GRAY"), *STEPS[2:]))
    assert told == {"photo, step 2": ("crop: width 224, height 224", "color: order GRAY")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"task": "embed"}, {"task": ("classify", "embed")}),
        ({"answer": Classify(output="y", top=1)}, {"answer.top": ("5", "1")}),
        ({"answer": None}, {"answer.read": ("classes", ""), "answer.output": ("y", ""), "answer.activation": ("none", ""), "answer.top": ("5", "")}),
        ({"labels": ("dog", "cat")}, {"label 0": ("cat", "dog"), "label 1": ("dog", "cat")}),
        ({"inputs": ()}, {"input photo": ("image > resize > crop > scale > normalize > layout", "")}),
        ({"inputs": (replace(CONTRACT.inputs[0], feeds="z"),)}, {"photo.feeds": ("x", "z")}),
        (
            {"files": (FileEntry(path="processing/tokenizer.json", digest=digest_bytes(b""), length=0),)},
            {"processing/tokenizer.json": ("", digest_bytes(b""))},
        ),
    ],
)
def test_every_part_of_a_contract_is_compared(change: dict[str, object], told: dict[str, tuple[str, str]]) -> None:
    """Task, inputs, answer, labels and files: a change of any one is told."""
    assert tell(replace(CONTRACT, **change)) == told


def test_a_contract_against_none_is_one_change() -> None:
    """A bundle of before contracts differs from one with a contract in that alone."""
    assert tell(None) == {"contract": ("a contract", "no contract")}


def test_many_labels_are_counted() -> None:
    """Of a thousand other labels twenty are told, and how many more there are."""
    labels = tuple(f"class {index}" for index in range(1000))
    told = tell(replace(CONTRACT, labels=labels))
    assert len(told) == 21
    assert told["980 more labels"] == ("2 in all", "1000 in all")
