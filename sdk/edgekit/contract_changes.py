"""How two processing contracts differ, step by step: a step that came in or went moves none of the others."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest

import msgspec

from edgekit.changes import Change, compare_texts, compare_values, format_value
from edgekit.contract import Feature, Processing, Step

#: The most labels that are told one by one.
_LABELS = 20
_NONE = "no contract"


def compare_contracts(before: Processing | None, after: Processing | None) -> list[Change]:
    """Each step, setting and label in which two contracts differ; nothing where they are equal."""
    if before == after:
        return []
    if before is None or after is None:
        told = ["a contract" if one else _NONE for one in (before, after)]
        return [Change(what="contract", before=told[0], after=told[1])]
    changes = compare_values({"task": before.task}, {"task": after.task})
    changes += _compare_features(before, after)
    changes += compare_values({"answer": before.answer}, {"answer": after.answer})
    changes += _compare_labels(before, after)
    files = [{entry.path: entry.digest for entry in one.files} for one in (before, after)]
    return changes + compare_texts(files[0], files[1])


def _compare_features(before: Processing, after: Processing) -> Iterator[Change]:
    first, second = ({feature.name: feature for feature in one.inputs} for one in (before, after))
    for name in dict.fromkeys((*first, *second)):
        if name in first and name in second:
            yield from _compare_feature(first[name], second[name])
        else:
            yield Change(what=f"input {name}", before=_say_feature(first.get(name)), after=_say_feature(second.get(name)))


def _say_feature(feature: Feature | None) -> str:
    return "" if feature is None else " > ".join([feature.kind, *map(_name, feature.steps)])


def _compare_feature(before: Feature, after: Feature) -> Iterator[Change]:
    bare = [{"kind": one.kind, "feeds": one.feeds, "columns": one.columns} for one in (before, after)]
    yield from compare_values(bare[0], bare[1], before.name)
    matcher = SequenceMatcher(None, [_name(step) for step in before.steps], [_name(step) for step in after.steps], autojunk=False)
    for _, start, end, new_start, new_end in matcher.get_opcodes():
        pairs = zip_longest(before.steps[start:end], after.steps[new_start:new_end])
        for place, (was, now) in enumerate(pairs, start + 1):
            yield from _compare_step(f"{before.name}, step {place}", was, now)


def _compare_step(subject: str, before: Step | None, after: Step | None) -> list[Change]:
    if before is not None and after is not None and _name(before) == _name(after):
        return compare_values(before, after, f"{subject} {_name(before)}")
    return [Change(what=subject, before=_say_step(before), after=_say_step(after))]


def _name(step: Step) -> str:
    return str(step.__struct_config__.tag)


def _say_step(step: Step | None) -> str:
    if step is None:
        return ""
    fields = msgspec.to_builtins(step)
    settings = ", ".join(f"{key} {format_value(value)}" for key, value in fields.items() if key != "step" and value is not None)
    return f"{_name(step)}: {settings}"


def _compare_labels(before: Processing, after: Processing) -> list[Change]:
    first, second = ({f"label {index}": label for index, label in enumerate(one.labels)} for one in (before, after))
    changes = compare_texts(first, second)
    if len(changes) <= _LABELS:
        return changes
    return [*changes[:_LABELS], Change(what=f"{len(changes) - _LABELS} more labels", before=f"{len(first)} in all", after=f"{len(second)} in all")]
