"""A contract is carried out on made-up items before any caller comes, so that what cannot fit the model is told when it is opened."""

from collections.abc import Sequence

import numpy as np

from edgekit.arrays import dtype_of
from edgekit.contract import Feature, Normalize, Spectrogram, Stack, Step, Windows
from edgekit.errors import InputError
from edgekit.processing.base import Raw
from edgekit.processing.features import PreparedFeature, PreparedText
from edgekit.processing.sounds import find_rate
from edgekit.tensors import TensorSpec

_CONTRACT = "Correct the processing contract; edgekit inspect shows the model's inputs."
#: Two pictures, (rows, columns), and two texts: what comes out equal of both does not depend on the caller.
_PICTURES = ((48, 64), (72, 56))
_TEXTS = ("a text", "a text of some more words " * 40)
_USUAL_RATE = 16_000
#: The longest sound or table that is made up, in samples or rows.
_LONGEST = 1 << 22


def rehearse(prepared: PreparedFeature | PreparedText, inputs: Sequence[TensorSpec]) -> None:
    """Feed made-up items to *prepared*, and hold what comes out against the model's *inputs*.

    Items of two sizes show which sizes are the contract's own: these must be the model's.

    Raises:
        InputError: a step cannot be carried out on what the step before it makes, or dtype or shape are not the model's.
    """
    specs = {spec.name: spec for spec in inputs}
    items = _make_items(prepared.feature, _find_columns(prepared.feature, specs))
    # Of each item only this is kept: two at once might be more than a device's memory holds.
    results = [{name: (dtype_of(array), array.shape) for name, array in prepared.feed(item)[0].items()} for item in items]
    for name in results[0] if results else ():
        _check(prepared.feature.name, specs[name], [result[name] for result in results])


def _check(feature: str, spec: TensorSpec, results: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """Hold the dtype and shape of each of *results* against *spec*."""
    dtype = results[0][0]
    shape = tuple(sizes[0] if len(set(sizes)) == 1 else "?" for sizes in zip(*(shape[1:] for _, shape in results), strict=True))
    found = f"{dtype}[{', '.join(map(str, ('n', *shape)))}]"
    if dtype != spec.dtype or len(shape) + 1 != len(spec.shape) or not all(map(_agrees, shape, spec.shape[1:])):
        raise InputError(f"input {feature!r}, steps", f"they make {found} of it, and the model's input is {spec}", _CONTRACT)


def _agrees(found: int | str, wanted: int | str) -> bool:
    return isinstance(found, str) or isinstance(wanted, str) or found == wanted


def _make_items(feature: Feature, columns: int | None) -> list[Raw]:
    if feature.kind == "image":
        return [np.zeros((*size, 3), np.uint8) for size in _PICTURES]
    if feature.kind == "text":
        return list(_TEXTS)
    rng = np.random.default_rng(0)
    lengths = [length for length in _choose_lengths(feature) if length <= _LONGEST]
    if feature.kind == "audio":
        return [rng.uniform(-0.1, 0.1, length).astype(np.float32) for length in lengths]
    return [] if columns is None else [rng.uniform(0, 1, (length, columns)).astype(np.float32) for length in lengths]


def _choose_lengths(feature: Feature) -> tuple[int, int]:
    """Samples or rows that are enough for every frame, stack of frames and window."""
    needed, apart = 8, 1
    if feature.kind == "audio":
        needed = find_rate(feature.steps, feature.name) or _USUAL_RATE
    for step in feature.steps:
        needed += _find_reach(step) * apart
        apart *= step.hop if isinstance(step, Spectrogram | Stack | Windows) else 1
    return 2 * needed, 3 * needed


def _find_reach(step: Step) -> int:
    """How much *step* needs along the first axis."""
    if isinstance(step, Spectrogram):
        return step.frame
    if isinstance(step, Stack):
        return step.frames
    return step.length if isinstance(step, Windows) else 0


def _find_columns(feature: Feature, specs: dict[str, TensorSpec]) -> int | None:
    """The columns of a table: those that are named, else as many as there are means, else those of the model's input."""
    if feature.columns:
        return len(feature.columns)
    means = max((len(step.mean) for step in feature.steps if isinstance(step, Normalize)), default=1)
    last = specs[str(feature.feeds)].shape[-1:] if feature.feeds in specs else ()
    return means if means > 1 else next((size for size in last if isinstance(size, int)), None)
