"""Two models on the same samples: by how much the one is better, whether that may be luck, and on which samples they differ."""

import contextlib
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from edgekit.benchmark import make_session
from edgekit.bundles import VerifiedBundle
from edgekit.errors import InputError
from edgekit.evaluation import (
    ALL,
    EvaluationData,
    EvaluationRequest,
    Progress,
    check_truths,
    choose_variants,
    find_metrics,
    find_source_variant,
    preparing,
    remark_classes,
    remark_contract,
    remark_source,
)
from edgekit.flips import Flip, describe_flips, judge_pairs
from edgekit.manifest import DataUse, Variant
from edgekit.metrics.base import Answers, Better, Metric
from edgekit.metrics.intervals import CONFIDENCE, Difference, Told, compare_pairs
from edgekit.records import Digest, Name, Record

_Count = Annotated[int, Meta(ge=0)]


class Side(Record, frozen=True, kw_only=True):
    """One of the two: a variant of a bundle."""

    name: Name
    manifest_digest: Digest
    variant: Name


class Compared(Record, frozen=True, kw_only=True):
    """One metric of both on *n* samples. *lost* were answered better by the first, *won* by the second; None where single samples tell nothing.

    *flips* are these samples, those that changed most first. *verdict* says it all in a sentence.
    """

    metric: str
    before: float
    after: float
    n: Annotated[int, Meta(ge=1)]
    better: Better
    difference: Difference
    lost: _Count | None
    won: _Count | None
    flips: tuple[Flip, ...]
    verdict: str


class Comparison(Record, frozen=True, kw_only=True):
    """Two variants on the same samples of *data*; *left_out* of these could not be used by both."""

    first: Side
    second: Side
    data: DataUse
    metrics: tuple[Compared, ...]
    left_out: _Count = 0
    remarks: tuple[str, ...] = ()


def compare_variants(
    first: VerifiedBundle, second: VerifiedBundle, other: tuple[str, ...], request: EvaluationRequest, progress: Progress
) -> Comparison:
    """Hold the variant *other* of *second* against that of *request* of *first*, each as its own contract feeds it.

    Of a bundle of which no variant is named, the one is taken that this machine would take. The same bundle may be both.

    Raises:
        InputError: the data cannot be used, the two have no samples in common, or more than one variant of each is named.
        DeviceError: a variant does not run here, or a library is missing.
    """
    metrics = find_metrics(first, request.metrics)
    variants = choose_one(first, request.variants, "--variant"), choose_one(second, other, "--variant2")
    with preparing(first, request, progress) as data, contextlib.ExitStack() as stack:
        # The same samples by the same contract are fed once.
        again = data if first.digest == second.digest else stack.enter_context(preparing(second, request, progress, data.keys))
        one, two = _Contender(first, variants[0], data, request, progress), _Contender(second, variants[1], again, request, progress)
        keys = [key for key in one.places if key in two.places]
        if not keys:
            raise InputError(request.data, "no sample of it can be used by both", "Look at it with edgekit data check.")
        told = [contender.tell(metrics, keys) for contender in (one, two)]
        compared = tuple(_compare(metric, told[0][metric.name], told[1][metric.name], keys, request.seed, progress) for metric in metrics)
        return Comparison(
            first=one.side,
            second=two.side,
            data=data.describe(request.seed),
            metrics=compared,
            left_out=len(data.keys) - len(keys),
            remarks=(*one.remarks, *remark_contract(first, metrics), *remark_classes(first, data.dataset)),
        )


def choose_one(bundle: VerifiedBundle, ids: Sequence[str], option: str) -> Variant:
    """The one variant that *ids* names, or the one that this machine would take; raises as choose_variants does."""
    if len(ids) > 1 or ALL in ids:
        raise InputError(option, "two variants are compared, one of each bundle", f"Name one: {option} {bundle.variants[0].id}.")
    return choose_variants(bundle, ids)[0]


class _Contender:
    """One of the two, with its own form of the data; *places* has where each sample lies that could be used."""

    def __init__(self, bundle: VerifiedBundle, variant: Variant, data: EvaluationData, request: EvaluationRequest, progress: Progress) -> None:
        self._bundle, self._variant, self._data, self._threads, self._progress = bundle, variant, data, request.threads, progress
        self.places = {item.key: place for place, item in enumerate(data.prepared.items)}
        self.remarks: tuple[str, ...] = ()

    @property
    def side(self) -> Side:
        """Who it is."""
        return Side(name=self._bundle.manifest.name, manifest_digest=self._bundle.digest, variant=self._variant.id)

    def tell(self, metrics: Sequence[Metric], keys: Sequence[str]) -> dict[str, Told]:
        """For each of *metrics* its answers to the samples *keys*, and what is true of them."""
        rows = np.array([self.places[key] for key in keys])
        truths = [self._data.prepared.items[row].truth for row in rows.tolist()]
        answers = self._ask(self._variant).take(rows)
        needing = [metric for metric in metrics if metric.needs_source(truths)]
        told: dict[str, Told] = {one.name: (answers, check_truths(self._data, truths)) for one in metrics if one not in needing}
        if not needing:
            return told
        source = find_source_variant(self._bundle)
        self.remarks = (remark_source(needing, source),)
        recalled = self._ask(source).take(rows)
        return told | {one.name: (answers, one.recall(recalled)) for one in needing if one.recall is not None}

    def _ask(self, variant: Variant) -> Answers:
        with make_session(self._bundle, variant, self._threads) as session:
            return self._data.ask(session, variant.id, self._progress)


def _compare(metric: Metric, first: Told, second: Told, keys: Sequence[str], seed: int, progress: Progress) -> Compared:
    before, after = metric.measure(*first), metric.measure(*second)
    difference = compare_pairs(metric, first, second, seed=seed, progress=progress)
    judged = judge_pairs(metric, first, second)
    return Compared(
        metric=metric.name,
        before=before,
        after=after,
        n=len(keys),
        better=metric.better,
        difference=difference,
        lost=None if judged is None else judged.lost,
        won=None if judged is None else judged.won,
        flips=() if judged is None else describe_flips(keys, judged, first, second),
        verdict="; ".join(([] if judged is None else [judged.word()]) + [word_difference(metric, difference)]),
    )


def word_difference(metric: Metric, difference: Difference) -> str:
    """Whether *difference* may be luck: ``the difference of -0.4 percentage points is within chance (p = 0.73)``."""
    if difference.value == 0:
        return "there is no difference"
    share = f"{difference.value * 100:+.3g} percentage points" if metric.each is not None and metric.recall is None else f"{difference.value:+.3g}"
    chance = "within chance" if difference.p >= 1 - CONFIDENCE else "more than chance"
    p = f"p = {difference.p:.2g}" if difference.p >= 0.001 else "p < 0.001"
    return f"the difference of {share} in {metric.name} is {chance} ({p})"
