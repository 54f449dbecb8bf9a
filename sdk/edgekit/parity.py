"""Whether a variant still gives the source model's answers: one check for the workstation and for every device."""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Protocol

import numpy as np

from edgekit.arrays import Array, Arrays, is_text, to_plain
from edgekit.box_parity import BoxReader, swap_classes
from edgekit.errors import ConversionError, ParityError
from edgekit.golden import GoldenSamples, is_class_row
from edgekit.manifest import Deviation, Parity, Tolerance
from edgekit.overlap import share_matched
from edgekit.tensors import TensorSpec

#: Samples that are run at once where a model takes any batch.
BATCH = 64


class Answering(Protocol):
    """What answers samples: an inference session, here or in another process."""

    inputs: tuple[TensorSpec, ...]

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        """The outputs by name."""
        ...


def answer_samples(session: Answering, inputs: Mapping[str, Array], subject: str) -> Arrays:
    """The answers of *session* to samples that lie along the first axis of *inputs*, in the batches that it takes.

    Raises:
        ConversionError: an output has no batch as its first axis, so that answers and samples cannot be matched.
    """
    total = len(next(iter(inputs.values())))
    fixed = [spec.shape[0] for spec in session.inputs if spec.shape and isinstance(spec.shape[0], int)]
    batch = min(fixed, default=BATCH)
    parts = [_answer(session, inputs, range(start, min(start + batch, total)), batch if fixed else 0, subject) for start in range(0, total, batch)]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _answer(session: Answering, inputs: Mapping[str, Array], samples: range, at_least: int, subject: str) -> Arrays:
    """The answers to *samples*; the last one is repeated up to *at_least*, for a model that takes no fewer."""
    given = {name: array[samples.start : samples.stop] for name, array in inputs.items()}
    missing = max(0, at_least - len(samples))
    if missing:
        given = {name: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) for name, array in given.items()}
    answers = session.infer(given)
    count = len(samples) + missing
    for name, array in answers.items():
        if array.shape[:1] != (count,):
            shape = list(array.shape)
            raise ConversionError(subject, f"output {name!r} has no batch as its first axis: {count} samples gave the shape {shape}")
    return {name: array[: len(samples)] for name, array in answers.items()}


def measure_parity(
    expected: Mapping[str, Array], actual: Mapping[str, Array], subject: str, boxes: BoxReader | None = None, rows: Collection[str] | None = None
) -> Parity:
    """How far *actual* is from *expected*, output by output, with the samples along the first axis; of a detector also in *boxes*.

    *rows* names the outputs that are rows of classes; without it all are that look so.

    Raises:
        ParityError: an output is missing, has another shape, or is not finite where the expected one is.
    """
    outputs = {name: _deviation(name, array, actual, subject) for name, array in expected.items()}
    # The scores of boxes are a row too, and the highest of them says which box is the likeliest, not which class.
    no_rows = frozenset() if boxes is None else boxes.outputs
    looking_so = [name for name, array in expected.items() if is_class_row(array)] if rows is None else rows
    agreements = [np.mean(expected[name].argmax(1) == actual[name].argmax(1)) for name in looking_so if name not in no_rows]
    return Parity(
        n=len(next(iter(expected.values()))),
        max_abs=max(one.max_abs for one in outputs.values()),
        mean_abs=max(one.mean_abs for one in outputs.values()),
        top1_agreement=float(min(agreements)) if agreements else None,
        box_agreement=None if boxes is None else boxes.measure_agreement(expected, actual),
        outputs=outputs,
    )


def _deviation(name: str, expected: Array, actual: Mapping[str, Array], subject: str) -> Deviation:
    if name not in actual:
        raise ParityError(subject, [f"output {name!r} is missing"])
    if actual[name].shape != expected.shape:
        raise ParityError(subject, [f"output {name!r} has shape {list(actual[name].shape)}, not {list(expected.shape)}"])
    if is_text(expected):
        return _deviation_of_texts(expected, actual[name])
    wanted, found = expected.astype(np.float64), actual[name].astype(np.float64)
    same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    broken = int(np.count_nonzero(~same & ~(np.isfinite(wanted) & np.isfinite(found))))
    if broken:
        raise ParityError(subject, [f"output {name!r} has {broken} values that are NaN or infinite and should not be"])
    difference = np.abs(np.subtract(wanted, found, out=np.zeros_like(wanted), where=~same))
    return Deviation(max_abs=float(difference.max(initial=0.0)), mean_abs=float(difference.mean()) if difference.size else 0.0)


def _deviation_of_texts(expected: Array, actual: Array) -> Deviation:
    """Strings are equal or not: the largest deviation is 1 where any differs, and the mean is the share that differs."""
    differs = to_plain(expected) != to_plain(actual)
    return Deviation(max_abs=float(differs.any()), mean_abs=float(differs.mean()) if differs.size else 0.0)


def find_range(array: Array) -> float:
    """The distance from the lowest to the highest finite value; of booleans, 1 where both are there; of strings, 1."""
    if is_text(array):
        return 1.0
    values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) if finite.size else 0.0


def derive_tolerance(parity: Parity, expected: Mapping[str, Array], precision: str) -> Tolerance:
    """The deviation that a device allows this variant: what was measured here, with slack for other CPUs' arithmetic.

    Floats differ between CPUs in the last bits, integers by a step of rounding. So the slack is a factor on what was
    measured, and a floor as a share of the output's range on the golden samples.
    """
    factor, floor = (4.0, 1e-4) if precision == "fp32" else (1.5, 1e-2)
    outputs = {name: _slacken(parity.outputs[name], array, factor, floor) for name, array in expected.items()}
    agreement, found_again = parity.top1_agreement, parity.box_agreement
    return Tolerance(
        max_abs=max(one.max_abs for one in outputs.values()),
        mean_abs=max(one.mean_abs for one in outputs.values()),
        top1_agreement=None if agreement is None else max(0.0, agreement - 1 / parity.n),
        box_agreement=None if found_again is None else max(0.0, found_again - 1 / parity.n),
        outputs=outputs,
        slack=f"{factor:g} x measured + {floor:g} x the output's range (mean: a tenth of that), and one sample for {_name_shares(parity)}",
    )


def _name_shares(parity: Parity) -> str:
    return "top-1" if parity.box_agreement is None else "top-1 and for boxes"


def _slacken(measured: Deviation, expected: Array, factor: float, floor: float) -> Deviation:
    reach = find_range(expected)
    return Deviation(max_abs=factor * measured.max_abs + floor * reach, mean_abs=factor * measured.mean_abs + floor / 10 * reach)


def find_violations(parity: Parity, tolerance: Tolerance, boxes: BoxReader | None = None) -> list[str]:
    """Each way in which *parity* exceeds *tolerance*, in words; empty where it keeps it.

    Outputs that are sorted by their scores are judged by *boxes* alone, where these were compared: two scores that are nearly
    equal change places, and every number in their rows with them. Without *boxes* all are judged by their deviation.
    """
    by_boxes = boxes.sorted_outputs if boxes is not None and parity.box_agreement is not None else frozenset()
    # What is over all outputs is the worst of them, so it judges those that have no tolerance of their own.
    pairs = [(name, measured, tolerance.outputs.get(name, tolerance)) for name, measured in parity.outputs.items()]
    judged = [pair for pair in pairs if pair[0] not in by_boxes] if pairs else [("it", parity, tolerance)]
    found = [text for name, measured, allowed in judged for text in _compare(name, measured, allowed)]
    if tolerance.top1_agreement is not None and (parity.top1_agreement or 0.0) < tolerance.top1_agreement:
        found.append(f"top-1 agrees on {parity.top1_agreement or 0:.1%} of {parity.n} samples, and {tolerance.top1_agreement:.1%} is asked for")
    if boxes is not None and tolerance.box_agreement is not None and (parity.box_agreement or 0.0) < tolerance.box_agreement:
        found.append(f"{parity.box_agreement or 0:.1%} of the boxes are found again, and {tolerance.box_agreement:.1%} is asked for")
    return found


def _compare(name: str, measured: Deviation, allowed: Deviation) -> list[str]:
    return [
        f"{name} deviates by {getattr(measured, field):.4g} ({field}), and {getattr(allowed, field):.4g} is allowed"
        for field in ("max_abs", "mean_abs")
        if getattr(measured, field) > getattr(allowed, field)
    ]


def check_parity(golden: GoldenSamples, answers: Arrays, tolerance: Tolerance, subject: str, boxes: BoxReader | None = None) -> Parity:
    """The parity of *answers* with the golden samples' outputs, or ParityError where *tolerance* is exceeded.

    A detector is held against the source in its *boxes* too (edgekit.box_parity.prepare_box_reader).
    """
    parity = measure_parity(golden.outputs, answers, subject, boxes, golden.class_rows)
    violations = find_violations(parity, tolerance, boxes)
    if violations:
        raise ParityError(subject, violations)
    return parity


def prove(session: Answering, golden: GoldenSamples, tolerance: Tolerance, subject: str, boxes: BoxReader | None = None) -> Parity:
    """Run the golden samples through *session*; its parity, or ParityError where it exceeds *tolerance*."""
    return check_parity(golden, answer_samples(session, golden.inputs, subject), tolerance, subject, boxes)


def check_power(golden: GoldenSamples, tolerance: Tolerance, subject: str, boxes: BoxReader | None = None, answers: Arrays | None = None) -> None:
    """Refuse a tolerance so wide that a broken model would pass it.

    Three broken models are played on the recorded answers: one that always gives their mean, one whose answers
    belong to other samples, and for each two classes among the answers one that swaps them. Of a detector two classes are
    swapped among the *boxes* of its own *answers*, where they have twice the boxes that the tolerance lets it miss.
    """
    for name, broken in _broken_models(golden, frozenset() if boxes is None else boxes.outputs):
        if _passes(golden, broken, tolerance, subject, boxes):
            raise _refuse_tolerance(subject, name)
    if boxes is not None and answers is not None and tolerance.box_agreement is not None:
        expected = boxes.read(golden.outputs)
        for first, second, swapped in swap_classes(boxes.read(answers), 2 / golden.n):
            if (share_matched(zip(expected, swapped, strict=True)) or 0.0) >= tolerance.box_agreement:
                raise _refuse_tolerance(subject, f"swapping the boxes of classes {first} and {second}")


def _refuse_tolerance(subject: str, name: str) -> ConversionError:
    return ConversionError(subject, f"it deviates so much that {name} would pass its golden samples too", "Give better calibration data.")


def _passes(golden: GoldenSamples, answers: Arrays, tolerance: Tolerance, subject: str, boxes: BoxReader | None) -> bool:
    try:
        check_parity(golden, answers, tolerance, subject, boxes)
    except ParityError:
        return False
    return True


def _broken_models(golden: GoldenSamples, no_rows: frozenset[str]) -> list[tuple[str, Arrays]]:
    """Each broken model in words, and its answers; *no_rows* are outputs that are no row of classes, whatever they look like."""
    outputs = golden.outputs
    constant = {name: _hold_constant(array) for name, array in outputs.items()}
    shifted = {name: np.roll(array, 1, axis=0) for name, array in outputs.items()}
    broken = [("a constant answer", constant), ("another sample's answer", shifted)]
    for name in (name for name in outputs if name not in no_rows and golden.has_classes(name)):
        for first, second in combinations(np.unique(outputs[name].argmax(1)).tolist()[:32], 2):
            swapped = outputs[name].copy()
            swapped[:, [first, second]] = swapped[:, [second, first]]
            broken.append((f"swapping classes {first} and {second}", outputs | {name: swapped}))
    return broken


def _hold_constant(array: Array) -> Array:
    """The mean answer for each sample; of strings the first."""
    answer = array[:1] if is_text(array) else array.mean(axis=0, keepdims=True).astype(array.dtype)
    return np.broadcast_to(answer, array.shape)
