"""Metrics by name."""

from collections.abc import Mapping

from edgekit.contract import Anomaly, Classify, Detect, Embed, Processing, Segment, Transcribe
from edgekit.errors import UnknownName
from edgekit.metrics.base import Metric
from edgekit.metrics.classes import F1, TOP1, TOP5
from edgekit.metrics.embeddings import COSINE
from edgekit.metrics.masks import IOU
from edgekit.metrics.objects import MAP50, MAP50_95
from edgekit.metrics.own import is_own, load_own
from edgekit.metrics.ranking import AUC
from edgekit.metrics.transcripts import WER

METRICS = {metric.name: metric for metric in (TOP1, TOP5, F1, MAP50, MAP50_95, IOU, AUC, COSINE, WER)}
#: What is measured where nobody says it, by how the contract reads answers.
USUAL: Mapping[type, Metric] = {Classify: TOP1, Detect: MAP50, Segment: IOU, Embed: COSINE, Anomaly: AUC, Transcribe: WER}


def find_metric(name: str) -> Metric:
    """The metric called *name*, or the function ``package.module:function``, whose code runs here.

    Raises:
        UnknownName: there is no such metric.
        InputError: there is no such function.
    """
    if is_own(name):
        return load_own(name)
    if name not in METRICS:
        raise UnknownName("metric", name, (*METRICS, "package.module:function"))
    return METRICS[name]


def choose_metric(contract: Processing | None) -> str:
    """The name of the metric that is usual for what *contract* reads; without a contract, how often the class is right."""
    return TOP1.name if contract is None or contract.answer is None else USUAL[type(contract.answer)].name
