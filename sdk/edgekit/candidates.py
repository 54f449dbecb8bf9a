"""Candidates for a bundle: each made, opened in its own runtime, held against the source, and judged."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import asdict, replace

from edgekit.artifacts import Artifact
from edgekit.attempts import Attempt, Attempts
from edgekit.benchmark import choose_cpu
from edgekit.build_request import BuildRequest, Progress
from edgekit.conversion import Order
from edgekit.errors import ConversionError, DeviceError, InputError, ParityError
from edgekit.gate import find_drop_fault, find_parity_fault, refuse_all
from edgekit.manifest import Metric, Skipped, Variant
from edgekit.measuring import IsolatedSession
from edgekit.metrics.intervals import measure_interval
from edgekit.metrics.registry import find_metric
from edgekit.parity import answer_samples, check_power, derive_tolerance, measure_parity
from edgekit.precisions import find_precision
from edgekit.quantities import format_bytes, format_mb
from edgekit.reference import Reference
from edgekit.runtimes.registry import find_runtime
from edgekit.target_profiles import find_profile

_PREFLIGHT = "Operator by operator, edgekit preflight tells what each runtime does with the model."


@dataclass(frozen=True)
class Candidate:
    """A variant that is sound and keeps the bound, held open so that it can be timed beside the others."""

    attempt: Attempt
    variant: Variant
    session: IsolatedSession


@dataclass
class Findings:
    """What became of every format and precision that was thought of."""

    candidates: list[Candidate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    missed_bound: list[tuple[str, Metric]] = field(default_factory=list)
    tools: dict[str, str] = field(default_factory=dict)

    def skip(self, attempt: Attempt, reason: str) -> None:
        """Note why a variant is not in the bundle."""
        self.attempts[attempt.id] = attempt
        self.skipped.append(Skipped(id=attempt.id, format=attempt.converter.format, precision=attempt.precision, reason=reason))

    def check(self, request: BuildRequest) -> None:
        """Refuse when nothing kept the bound, or nothing came of a format or precision that was asked for.

        Raises:
            GateRefused: variants were made, and none keeps the bound.
            ConversionError: a format or precision asked for has no variant; the message has the reason.
        """
        if self.missed_bound and not self.candidates:
            raise refuse_all(self.missed_bound, request.max_drop)
        for asked, option in ((request.formats, "--to"), (request.precisions, "--precision")):
            for name in asked or ():
                if not any(one.attempt.is_of(name) for one in self.candidates):
                    self._refuse(f"{option} {name}", name, request.max_drop)
        if not self.candidates:
            raise ConversionError("this model", f"no variant of it can be made here: {tell_reasons(self.skipped)}")

    def _refuse(self, asked: str, name: str, max_drop: float) -> None:
        missed = [one for one in self.missed_bound if self.attempts[one[0]].is_of(name)]
        if missed:
            raise refuse_all(missed, max_drop, asked)
        skipped = [one for one in self.skipped if self.attempts[one.id].is_of(name)]
        told = tell_reasons(skipped) or "no target makes it"
        # What was not even begun does not hang on the model's operators.
        remedy = _PREFLIGHT if any(one.id in self.begun for one in skipped) else ""
        raise ConversionError(asked, f"it was asked for and cannot be made here: {told}", remedy)


class Workbench:
    """Makes and judges every candidate of one build in the directory *staging*.

    Candidates stay open until the workbench is left.
    """

    def __init__(self, request: BuildRequest, reference: Reference, staging: Path) -> None:
        self._request = request
        self._reference = reference
        self._staging = staging
        self._open = contextlib.ExitStack()
        self._profile = None if request.target is None else find_profile(request.target)

    def __enter__(self) -> "Workbench":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def make_all(self, progress: Progress) -> Findings:
        """Try every format and precision that the request allows."""
        findings = Findings()
        plan = list(self._plan(findings))
        for step, attempt in enumerate(plan):
            progress(f"making {attempt.id}", step, len(plan))
            directory = self._staging / "variants" / attempt.id
            findings.begun.add(attempt.id)
            try:
                candidate = self._make(attempt, directory, findings)
            except (ConversionError, ParityError, DeviceError) as error:
                candidate = None
                findings.skip(attempt, f"{error.problem}. {error.remedy}".strip())
            if candidate is None:
                shutil.rmtree(directory)
            else:
                findings.candidates.append(candidate)
        return findings

    def _plan(self, findings: Findings) -> Iterator[Attempt]:
        """Each variant to be tried; what cannot be tried goes to *findings* with its reason."""
        attempts = Attempts(self._request, self._reference.model)
        for name, converter in attempts.load_converters().items():
            if converter.find_obstacle() is None:
                findings.tools |= converter.list_tools()
            for attempt, reason in attempts.list_all(name, converter):
                if reason is None:
                    yield attempt
                else:
                    findings.skip(attempt, reason)

    def _make(self, attempt: Attempt, directory: Path, findings: Findings) -> Candidate | None:
        directory.mkdir(parents=True)
        order = Order(find_precision(attempt.precision), self._reference.calibration, self._profile)
        artifact = attempt.converter.convert(self._reference.model, order, directory)
        self._check_memory(attempt, artifact)
        prefix = directory.relative_to(self._staging).as_posix()
        artifact = replace(artifact, files=tuple(replace(entry, path=f"{prefix}/{entry.path}") for entry in artifact.files))
        with contextlib.ExitStack() as mine:
            try:
                session = mine.enter_context(self._open_session(artifact))
                variant = self._judge(artifact, attempt, session)
            except InputError as error:
                # The inputs have gone through the source model before, so it is the file made here that is at fault.
                raise ConversionError(attempt.id, f"what was made of it does not run: {error.problem}") from error
            fault = None if variant.metric is None else find_drop_fault(variant.metric, self._request.max_drop)
            if variant.metric is not None and fault is not None:
                findings.skip(attempt, f"refused by the gate: {fault}")
                findings.missed_bound.append((variant.id, variant.metric))
                return None
            self._open.push(mine.pop_all())
            return Candidate(attempt, variant, session)

    def _check_memory(self, attempt: Attempt, artifact: Artifact) -> None:
        """Refuse what the devices cannot hold: no runtime works with less memory than the weights take."""
        profile = self._profile
        if profile is not None and profile.memory_mb is not None and artifact.size > profile.memory_mb << 20:
            problem = f"it has {format_bytes(artifact.size)}, and a {profile.name} may have no more than {format_mb(profile.memory_mb)} of memory"
            raise ConversionError(attempt.id, problem, "Take a smaller precision or model.")

    def _open_session(self, artifact: Artifact) -> IsolatedSession:
        model, runtime = self._reference.model, find_runtime(artifact.format)
        path = self._staging / artifact.files[0].path
        threads = self._request.threads
        return IsolatedSession(path, artifact, model.inputs, model.outputs, runtime.name, threads, choose_cpu(threads))

    def _judge(self, artifact: Artifact, attempt: Attempt, session: IsolatedSession) -> Variant:
        """The variant with its parity and metric; ConversionError where the conversion went wrong."""
        golden, boxes, variant_id, precision = self._reference.golden, self._reference.boxes, attempt.id, find_precision(attempt.precision)
        answers = answer_samples(session, golden.inputs, variant_id)
        parity = measure_parity(golden.outputs, answers, variant_id, boxes, golden.class_rows)
        fault = find_parity_fault(precision.number, parity, self._reference.ranges, boxes)
        if fault is not None:
            raise ConversionError(variant_id, fault)
        tolerance = derive_tolerance(parity, golden.outputs, precision.number)
        check_power(golden, tolerance, variant_id, boxes, answers)
        metric = self._evaluate(session, variant_id)
        described = asdict(artifact) | {"id": variant_id, "precision": precision.number, "scheme": precision.scheme}
        return Variant(**described, parity=parity, tolerance=tolerance, metric=metric)

    def _evaluate(self, session: IsolatedSession, variant_id: str) -> Metric | None:
        reference, data = self._reference, self._reference.evaluation
        if data is None or reference.metric is None or reference.source_value is None:
            return None
        answers = data.ask(session, variant_id)
        metric = find_metric(reference.metric)
        value = metric.measure(answers, reference.truths)
        interval = measure_interval(metric, answers, reference.truths, seed=self._request.seed).bounds
        return Metric(
            name=metric.name,
            value=value,
            n=len(reference.truths),
            source_value=reference.source_value,
            better=metric.better,
            interval=interval,
        )


def tell_reasons(skipped: Sequence[Skipped]) -> str:
    """Why each variant was left out, as one clause; those with the same reason are named together."""
    named: dict[str, list[str]] = {}
    for one in skipped:
        named.setdefault(one.reason.rstrip("."), []).append(one.id)
    return "; ".join(f"{', '.join(ids)}: {reason}" for reason, ids in named.items())
