"""What a build would make, told before it is made: the source and the data are read, and nothing is converted or run."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from edgekit.attempts import Attempts
from edgekit.build_data import choose_keys, digest_data, open_data
from edgekit.build_request import BuildRequest, Progress
from edgekit.contract_choice import Choice, choose_contract
from edgekit.conversion import HUB, SourceModel
from edgekit.datasets.base import Dataset
from edgekit.datasets.streaming import feed_samples
from edgekit.environments import find_environments
from edgekit.files import digest_files
from edgekit.manifest import Skipped
from edgekit.precisions import PRECISIONS
from edgekit.recipe import Digests, check_digests
from edgekit.records import Digest, Length, Name, Record
from edgekit.reference import check_batch, load_source
from edgekit.tensors import TensorSpec

DataRole: TypeAlias = Literal["calibration", "evaluation"]
#: Samples of each set that are fed to see whether they fit the model.
_TRIED = 8
#: Bytes of one weight, by number format.
_BYTES: dict[str, float] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1, "int4": 0.5}


class PlannedVariant(Record, frozen=True, kw_only=True):
    """A variant that would be tried. *size* is about what its files will have, in bytes, by what weights take in its numbers."""

    id: Name
    format: Name
    precision: Name
    size: Length


class PlannedData(Record, frozen=True, kw_only=True):
    """A set of data that would be used, and how many samples of it."""

    role: DataRole
    name: str
    digest: Digest
    samples: int


class BuildPlan(Record, frozen=True, kw_only=True):
    """What ``edgekit convert`` would make.

    *contract* says where the processing contract is from; None where there is none. *missing* says what is not there and what that
    means, a sentence each.
    """

    name: Name
    source: str
    source_format: Name
    source_digest: Digest
    source_size: Length
    precision: Name
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    contract: str | None = None
    target: str | None = None
    variants: tuple[PlannedVariant, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    data: tuple[PlannedData, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def digests(self) -> Digests:
        """Those of the source and the data."""
        return Digests(source=self.source_digest, **{one.role: one.digest for one in self.data})


def plan_build(request: BuildRequest, progress: Progress) -> BuildPlan:
    """The plan of *request*; raises as the build would for a source or data that cannot be used."""
    request.check()
    name = request.find_name()
    with tempfile.TemporaryDirectory(prefix="edgekit-") as workspace:
        progress("reading the source model", 0, 2)
        model = load_source(request.source, Path(workspace), request.options)
        check_batch(request.source, model.inputs)
        progress("reading the data", 1, 2)
        choice = choose_contract(request, model, Path(workspace) / "contract")
        data = _plan_data(request, choice, Path(workspace))
        variants, skipped = _plan_variants(request, model)
        plan = BuildPlan(
            name=name,
            source=request.source.name,
            source_format=model.format,
            source_digest=digest_files(model.files),
            source_size=sum(file.stat().st_size for file in model.files),
            precision=model.precision,
            inputs=model.inputs,
            outputs=model.outputs,
            contract=choice.origin,
            target=request.target,
            variants=tuple(variants),
            skipped=tuple(skipped),
            data=tuple(data),
            missing=(*(f"{warning[:1].upper()}{warning[1:]}." for warning in choice.warnings), *_list_missing(request, variants)),
        )
    check_digests(request, plan.digests)
    return plan


def _plan_variants(request: BuildRequest, model: SourceModel) -> tuple[list[PlannedVariant], list[Skipped]]:
    attempts, planned, skipped = Attempts(request, model), [], []
    for name, converter in attempts.load_converters().items():
        for attempt, reason in attempts.list_all(name, converter):
            described = {"id": attempt.id, "format": converter.format, "precision": attempt.precision}
            if reason is None:
                planned.append(PlannedVariant(**described, size=_estimate_size(model, attempt.precision)))
            else:
                skipped.append(Skipped(**described, reason=reason))
    return planned, skipped


def _estimate_size(model: SourceModel, precision: str) -> int:
    """The source's own size times what a weight takes in *precision*, as a share of what it takes in the source."""
    return round(model.artifact.size * _BYTES[PRECISIONS[precision].number] / _BYTES.get(model.precision, 4))


def _plan_data(request: BuildRequest, choice: Choice, workspace: Path) -> list[PlannedData]:
    given: tuple[tuple[DataRole, Path | None], ...] = (("calibration", request.calibration), ("evaluation", request.evaluation))
    return [_describe_data(role, open_data(path, choice.contract), request, choice, workspace) for role, path in given if path is not None]


def _describe_data(role: DataRole, dataset: Dataset, request: BuildRequest, choice: Choice, workspace: Path) -> PlannedData:
    keys = choose_keys(dataset, role, request)
    with tempfile.TemporaryDirectory(dir=workspace) as directory:
        feed_samples(dataset, keys[:_TRIED], choice.pipeline, Path(directory))
    return PlannedData(role=role, name=dataset.path.name, digest=digest_data(dataset, keys), samples=len(keys))


def _list_missing(request: BuildRequest, variants: Sequence[PlannedVariant]) -> list[str]:
    missing = []
    if request.calibration is None:
        missing.append("There is no --calibration: static int8 is left out, and golden samples come of --evaluation or are made up.")
    if request.evaluation is None:
        missing.append("There is no --evaluation: no metric is measured, and parity with the source's answers alone decides.")
    if {one.format for one in variants} - {HUB}:
        told = "is not made: should a format need it, it is made, which takes about"
        missing += [f"The environment {one.name} {told} {one.size_mb} MB." for one in find_environments().values() if not one.is_ready]
    return missing
