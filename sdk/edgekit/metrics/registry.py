"""Metrics by name."""

from edgekit.errors import UnknownName
from edgekit.metrics.base import Metric
from edgekit.metrics.classes import TOP1, TOP5

METRICS = {metric.name: metric for metric in (TOP1, TOP5)}


def find_metric(name: str) -> Metric:
    """The metric called *name*, or UnknownName."""
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownName("metric", name, METRICS) from None
