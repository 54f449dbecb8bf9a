"""Whether the contract is the one that the model was trained with: labelled data tell, and name the mistake."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from edgekit.answering import answer_items
from edgekit.build_data import DataSet
from edgekit.build_request import Progress
from edgekit.contract import Processing
from edgekit.contract_choice import Choice
from edgekit.conversion import SourceModel
from edgekit.datasets.streaming import feed_samples
from edgekit.errors import InputError
from edgekit.metrics.base import Metric
from edgekit.parity import Answering
from edgekit.processing.alternatives import list_alternatives
from edgekit.processing.diagnosing import Suspect, name_suspects
from edgekit.processing.pipeline import open_pipeline

#: Samples with which each of some twenty other contracts is tried, and those with which one is judged that did better on them.
TRIED_SAMPLES, JUDGED_SAMPLES = 64, 512
#: Seconds after which no further contract is tried: a large model takes its time for each sample.
TRIED_S = 120.0
#: Metrics that are a share, by which contracts can be held against each other.
SHARES = ("top1", "top5", "f1", "auc", "map50", "map50-95", "iou", "wer")
#: What a share is of, as it follows "91 %".
_MEANINGS = {"top1": "of answers are right", "wer": "of words are right"}
CONTRACT_REMEDY = "Correct the contract in a file, and give that with --processing FILE; edgekit inspect --processing shows it."
#: By so much another contract must be better to be far better, and so few standard errors above chance is chance.
FAR, CHANCE_ERRORS = 0.3, 2.0


@dataclass(frozen=True)
class Trial:
    """What a contract is tried with: the source model in *session*, labelled *data*, and the *metric*."""

    choice: Choice
    model: SourceModel
    session: Answering
    data: DataSet
    metric: Metric

    def choose_keys(self, count: int) -> list[str]:
        """The keys of *count* samples, evenly spread: sets are sorted by class more often than not."""
        items = self.data.prepared.items
        places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
        return [items[place].key for place in dict.fromkeys(places.tolist())]

    def measure(self, contract: Processing, keys: list[str]) -> float:
        """The metric by *contract* of the samples *keys*, from 0 to 1 and higher where it is better; InputError where it cannot be fed."""
        pipeline = open_pipeline(contract, self.model.inputs, self.model.outputs, self.choice.root)
        with tempfile.TemporaryDirectory(prefix="edgekit-") as directory:
            prepared = feed_samples(self.data.dataset, keys, pipeline, Path(directory))
            answers = answer_items(self.session, prepared, pipeline, "source model", contract.labels)
            value = self.metric.measure(answers, [truth for truth in prepared.truths if truth is not None])
        share = min(1.0, max(0.0, value))
        return share if self.metric.better == "higher" else 1 - share

    def find_chance(self) -> float:
        """The share that comes out right by always giving the most frequent class; 0 where samples have no class."""
        classes = [truth for truth in self.data.prepared.truths if isinstance(truth, int)]
        return max(classes.count(one) for one in set(classes)) / len(classes) if classes else 0.0


class _Judge:
    """Scores contracts in *trial*, until *clock* says *end*: on a few samples, and those that do better than the declared one on many."""

    def __init__(self, trial: Trial, declared: Processing, clock: Callable[[], float]) -> None:
        self._trial, self._declared, self._clock = trial, declared, clock
        self._few, self.keys = trial.choose_keys(TRIED_SAMPLES), trial.choose_keys(JUDGED_SAMPLES)
        self._bar = trial.measure(declared, self._few)
        self._end = clock() + TRIED_S

    def __call__(self, contract: Processing) -> float:
        """The score of *contract*, for one that does no better on the few 0; InputError where it cannot be fed, or no time is left."""
        if contract is not self._declared:
            if self._clock() > self._end:
                raise InputError("processing", "no time is left to try it", "Give fewer samples.")
            if self._trial.measure(contract, self._few) <= self._bar:
                return 0.0
        return self._trial.measure(contract, self.keys)


def check_contract(trial: Trial, progress: Progress, clock: Callable[[], float] = time.monotonic) -> tuple[str, ...]:
    """Sentences that name other contracts with which the source model is clearly better; none where there is none.

    The usual mistakes in a contract for pictures are tried one by one, for TRIED_S seconds at most by *clock*.

    Raises:
        InputError: by the declared contract the model is right no more often than by chance, and another is far better: what
            would be measured with it says nothing of the model.
    """
    contract = trial.choice.contract
    if contract is None or not any(True for _ in list_alternatives(contract)) or trial.metric.name not in SHARES or not trial.data.is_raw:
        return ()
    progress("trying other contracts", 0, 1)
    judge = _Judge(trial, contract, clock)
    suspects = name_suspects(contract, judge, len(judge.keys), _MEANINGS.get(trial.metric.name, f"of {trial.metric.name}"))
    if suspects and _is_hopeless(suspects[0], trial.find_chance(), len(judge.keys)):
        problem = f"the source model answers by chance with this contract, which {suspects[0].sentence}"
        raise InputError(trial.choice.origin or "processing", problem, CONTRACT_REMEDY)
    return tuple(f"the contract {suspect.sentence}" for suspect in suspects[:3])


def _is_hopeless(suspect: Suspect, chance: float, items: int) -> bool:
    at_chance = suspect.declared - chance < CHANCE_ERRORS * sqrt(max(chance * (1 - chance), 1 / items) / items)
    return at_chance and suspect.score - suspect.declared >= FAR
