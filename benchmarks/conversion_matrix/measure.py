"""One row of the matrix: a model made, and converted into every variant that there is. Runs in a process of its own.

Called with the row's name and the path of the result, a JSON object: for each variant what it deviates by, its size and
the seconds that it took, or the reason why there is none; the seconds in all, and the most memory that any process held.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from models import ROWS, Row, write_data

from edgekit.build_request import BuildRequest
from edgekit.candidates import Candidate, Workbench
from edgekit.conversion import SourceOptions, TargetConverter
from edgekit.errors import EdgekitError
from edgekit.parity import find_range
from edgekit.plugins import TARGETS, load_plugin
from edgekit.precisions import order_precisions
from edgekit.reference import Reference, consult_source


class Stopwatch:
    """The seconds that each step took, by its name: a Progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._step, self._since = "", time.monotonic()

    def __call__(self, step: str, done: int, total: int) -> None:  # noqa: ARG002 - what a Progress is called with
        """Note that *step* begins."""
        now = time.monotonic()
        self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = step, now


def make_request(row: Row, directory: Path, target: str, source: Path) -> BuildRequest:
    """The request for every precision that *target* can be made in."""
    calibration, evaluation = row.data()
    converter: TargetConverter = load_plugin(TARGETS, target)()
    return BuildRequest(
        source=source,
        destination=directory / "bundle",
        name="model",
        options=SourceOptions(shapes=row.shapes),
        formats=(target,),
        precisions=tuple(precision.name for precision in order_precisions(converter.precisions)),
        calibration=write_data(calibration, directory / "calibration.npz"),
        evaluation=write_data(evaluation, directory / "evaluation.npz"),
        metric=row.metric,
        max_drop=1.0,
    )


def describe_candidate(one: Candidate, reference: Reference, watch: Stopwatch) -> dict[str, Any]:
    """What the matrix shows of a variant that was made. A deviation is a share of the output's range."""
    parity = one.variant.parity
    deviation = max(each.mean_abs / (find_range(reference.golden.outputs[name]) or 1.0) for name, each in parity.outputs.items())
    return {
        "deviation": deviation,
        "top1": parity.top1_agreement,
        "metric": None if one.variant.metric is None else one.variant.metric.value,
        "source_metric": None if one.variant.metric is None else one.variant.metric.source_value,
        "size": one.variant.size,
        "seconds": watch.seconds.get(f"making {one.variant.id}"),
    }


def measure(row: Row) -> dict[str, Any]:
    """All variants of *row*, target by target, so that the sessions of one are closed before the next is opened."""
    started = time.monotonic()
    variants: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        directory = Path(scratch)
        (directory / "source").mkdir()
        source = row.make(directory / "source")
        made = time.monotonic()
        (directory / "workspace").mkdir()
        reference = consult_source(make_request(row, directory, "onnx", source), directory / "workspace")
        read = time.monotonic()
        for target in ("onnx", "tflite", "openvino", "nvidia"):
            variants |= measure_target(make_request(row, directory, target, source), reference, directory / target)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = {"reading": read - made, "all": time.monotonic() - started}
    return {"row": row.name, "format": reference.model.format, "variants": variants, "seconds": seconds, "peak_mb": peak / 1024}


def measure_target(request: BuildRequest, reference: Reference, staging: Path) -> dict[str, Any]:
    """What became of each precision of the one target that *request* asks for."""
    staging.mkdir()
    watch = Stopwatch()
    with Workbench(request, reference, staging) as bench:
        findings = bench.make_all(watch)
        watch("", 0, 0)
        made = {one.variant.id: describe_candidate(one, reference, watch) for one in findings.candidates}
    return made | {one.id: {"reason": one.reason} for one in findings.skipped}


def main() -> None:
    """Measure the row at the first argument into the file at the second."""
    name, path = sys.argv[1], Path(sys.argv[2])
    row = next(one for one in ROWS if one.name == name)
    try:
        result = measure(row)
    except EdgekitError as error:
        result = {"row": row.name, "refused": str(error)}
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
