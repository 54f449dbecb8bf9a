"""Which samples become golden: of the user's data, of those that a source brings, or made up."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edgekit.arrays import Array, Arrays, release_pages, to_plain
from edgekit.build_data import DataSet
from edgekit.conversion import SourceModel
from edgekit.golden import GoldenSamples, choose_samples, synthesize_inputs
from edgekit.parity import BATCH, Answering, answer_samples
from edgekit.tensors import TensorSpec

GOLDEN_SAMPLES = 64
#: Golden samples travel to every device: where they or their answers are larger, only half as many are kept.
GOLDEN_BYTES = 8 << 20
#: Samples among which the golden ones are chosen.
POOL = 1024
#: Samples that are made up take at most this much with their answers, where the fewest that are needed do not take more; of data,
#: which lies on disk, the answers alone.
POOL_BYTES = 1 << 30
#: The units in which inputs are made up: about 1, as most models want them, and those of a picture's bytes, or of decibels.
GAINS = (1.0, 64.0)
SOURCE = "source model"

Origin = Literal["calibration", "evaluation", "synthetic"]
#: The sets of data that may be given, by what they are for.
ROLES: tuple[Literal["calibration", "evaluation"], ...] = ("calibration", "evaluation")


def find_golden(model: SourceModel, session: Answering, sets: Mapping[str, DataSet], seed: int) -> tuple[GoldenSamples, list[int], Origin]:
    """Golden samples with the answers that *session* gives: of the data in *sets*, else of those that come with the model, else made up.

    With them are given the rows that they are of the set, and which set it is.
    """
    pool, origin = _find_pool(model, sets)
    golden, rows = make_golden(model, session, seed) if pool is None else record_golden(model, session, pool, seed)
    return golden, rows, origin


def _find_pool(model: SourceModel, sets: Mapping[str, DataSet]) -> tuple[Arrays | None, Origin]:
    if "calibration" in sets and sets["calibration"].prepared.n >= GOLDEN_SAMPLES // 2:
        return sets["calibration"].prepared.inputs, "calibration"
    if "evaluation" in sets:
        return sets["evaluation"].prepared.inputs, "evaluation"
    return None if model.samples is None else dict(model.samples), "synthetic"


def make_golden(model: SourceModel, session: Answering, seed: int) -> tuple[GoldenSamples, list[int]]:
    """Golden samples of made-up inputs in the first unit to which the model gives different answers."""
    for gain in GAINS:
        pool = synthesize_inputs(model.inputs, count_synthetic(model), np.random.default_rng(seed), gain)
        golden, rows = record_golden(model, session, pool, seed)
        if golden.is_telling:
            break
    return golden, rows


def record_golden(model: SourceModel, session: Answering, pool: Mapping[str, Array], seed: int) -> tuple[GoldenSamples, list[int]]:
    """Samples of *pool* that cover as many different answers as there are, with the answers that *session* gives; and their rows in it.

    *pool* may be mapped from disk: no more of it is in memory than one batch, and what is chosen.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(next(iter(pool.values()))))[: _count_asked(model)])
    parts = []
    for start in range(0, len(rows), BATCH):
        parts.append(_answer(session, _take(pool, rows[start : start + BATCH])))
        release_pages(pool)
    answers = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    chosen = np.array(choose_samples(answers, _count_golden(pool, answers), rng))
    return GoldenSamples(_take(pool, rows[chosen]), _take(answers, chosen)), rows[chosen].tolist()


def _answer(session: Answering, inputs: Arrays) -> Arrays:
    return {name: to_plain(array) for name, array in answer_samples(session, inputs, SOURCE).items()}


def _count_asked(model: SourceModel) -> int:
    return max(GOLDEN_SAMPLES // 2, min(POOL, POOL_BYTES // max(_measure_row(model.outputs), 1)))


def count_synthetic(model: SourceModel) -> int:
    """How many samples to make up: fewer where they, or the answers to them, are large, and never too few to be golden."""
    each = _measure_row((*model.inputs, *model.outputs))
    return max(GOLDEN_SAMPLES // 2, min(POOL // 2, POOL_BYTES // max(each, 1)))


def _measure_row(specs: Sequence[TensorSpec]) -> int:
    """The most bytes of one sample of *specs*, taking a size that may vary for 1."""
    return sum(8 * math.prod(size for size in spec.shape[1:] if isinstance(size, int)) for spec in specs)


def _count_golden(pool: Mapping[str, Array], answers: Arrays) -> int:
    each = sum(array[0].nbytes for array in (*pool.values(), *answers.values()))
    return GOLDEN_SAMPLES if each * GOLDEN_SAMPLES <= GOLDEN_BYTES else GOLDEN_SAMPLES // 2


def _take(arrays: Mapping[str, Array], rows: Array) -> Arrays:
    return {name: np.array(array[rows]) for name, array in arrays.items()}
