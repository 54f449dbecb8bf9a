"""Candidates for a bundle: each made, opened in its own runtime, held against the source, and judged."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import asdict, replace

from edgekit.artifacts import Artifact
from edgekit.benchmark import choose_cpu
from edgekit.build_request import BuildRequest, Progress
from edgekit.conversion import Order, TargetConverter
from edgekit.errors import ConversionError, DeviceError, InputError, ParityError
from edgekit.gate import find_drop_fault, find_parity_fault, refuse_all
from edgekit.manifest import Metric, Skipped, Variant
from edgekit.measuring import IsolatedSession
from edgekit.metrics import find_metric
from edgekit.parity import answer_samples, check_power, derive_tolerance, measure_parity
from edgekit.plugins import TARGETS, find_plugins, load_plugin
from edgekit.precisions import PRECISIONS, Precision, find_precision, order_precisions
from edgekit.quantities import format_bytes, format_mb
from edgekit.reference import Reference
from edgekit.runtimes.registry import find_runtime
from edgekit.target_profiles import find_profile

#: The target that makes ONNX for TensorRT: no CPU is served well by it.
NVIDIA = "nvidia"
_PREFLIGHT = "Operator by operator, edgekit preflight tells what each runtime does with the model."
_FLOAT = "Give the float model that it was made from."


@dataclass(frozen=True)
class Attempt:
    """One variant that is thought of: the target's name among the plug-ins, its converter, and a precision's name."""

    target: str
    converter: TargetConverter
    precision: str

    @property
    def id(self) -> str:
        """The id that the variant will have."""
        return f"{self.target}-{self.precision}"

    def is_of(self, name: str) -> bool:
        """Whether *name* is its target's or its precision's."""
        return name in (self.target, self.precision)


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
        for name in self._list_targets():
            converter: TargetConverter = load_plugin(TARGETS, name)()
            obstacle = converter.find_obstacle()
            if obstacle is None:
                findings.tools |= converter.list_tools()
            for precision in self._list_precisions(name, converter):
                attempt = Attempt(name, converter, precision.name)
                reason = obstacle or self._find_reason(name, converter, precision)
                if reason is None:
                    yield attempt
                else:
                    findings.skip(attempt, reason)

    def _list_targets(self) -> tuple[str, ...]:
        """The target converters to be tried: those asked for, else those that pay on the device, else all for any CPU.

        What is made for one kind of accelerator is made where it was asked for, or its devices were.
        """
        if self._request.formats:
            return self._request.formats
        profile = self._profile
        known = tuple(find_plugins(TARGETS))
        return tuple(name for name in known if name in profile.precisions) if profile else tuple(name for name in known if name != NVIDIA)

    def _list_precisions(self, target: str, converter: TargetConverter) -> tuple[Precision, ...]:
        model, profile = self._reference.model, self._profile
        if self._request.precisions:
            return order_precisions(self._request.precisions)
        if model.precision != "fp32":
            return order_precisions(self._find_kept(converter))
        worth = model.suggested or converter.suggest_precisions(model)
        return order_precisions(choose_paying(profile.precisions.get(target, worth), worth) if profile else worth)

    def _find_reason(self, target: str, converter: TargetConverter, precision: Precision) -> str | None:
        model = self._reference.model
        if precision.name not in converter.precisions:
            return (
                converter.refusals.get(precision.name) or f"{converter.format} is made in {', '.join(converter.precisions)}, not in {precision.name}."
            )
        if model.precision != "fp32":
            return self._find_reason_to_leave(target, converter, precision)
        if precision.needs_calibration and self._reference.calibration is None:
            return "static int8 needs representative inputs. Give --calibration FILE.npz."
        return None

    def _find_reason_to_leave(self, target: str, converter: TargetConverter, precision: Precision) -> str | None:
        """Why a source that came in other numbers than fp32 is not kept in *precision*; floats are right on every class of devices."""
        model, profile = self._reference.model, self._profile
        if precision.name not in self._find_kept(converter):
            return f"the source model came in {model.precision} and is kept as it is: converting its numbers again would only lose accuracy. {_FLOAT}"
        if self._request.precisions or profile is None or precision.scheme is None:
            return None
        paying = profile.precisions.get(target, (precision.name,))
        if precision.name in paying:
            return None
        return f"{profile.name} takes {target} in {', '.join(paying)}, and the source model came in {precision.name}. {_FLOAT}"

    def _find_kept(self, converter: TargetConverter) -> list[str]:
        """The one precision of *converter* that keeps a source in the numbers that it came in; none where it has none."""
        model = self._reference.model
        same = [name for name in (*model.suggested, *converter.precisions) if PRECISIONS[name].number == model.precision]
        return [name for name in same if name in converter.precisions][:1]

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
        golden, variant_id, precision = self._reference.golden, attempt.id, find_precision(attempt.precision)
        parity = measure_parity(golden.outputs, answer_samples(session, golden.inputs, variant_id), variant_id, golden.class_rows)
        fault = find_parity_fault(precision.number, parity, self._reference.ranges)
        if fault is not None:
            raise ConversionError(variant_id, fault)
        tolerance = derive_tolerance(parity, golden.outputs, precision.number)
        check_power(golden, tolerance, variant_id)
        metric = self._evaluate(session, variant_id)
        described = asdict(artifact) | {"id": variant_id, "precision": precision.number, "scheme": precision.scheme}
        return Variant(**described, parity=parity, tolerance=tolerance, metric=metric)

    def _evaluate(self, session: IsolatedSession, variant_id: str) -> Metric | None:
        reference = self._reference
        if reference.evaluation is None or reference.metric is None or reference.source_value is None:
            return None
        answers = answer_samples(session, reference.evaluation.inputs, variant_id)
        value = find_metric(reference.metric)(answers, reference.evaluation.labels)
        return Metric(name=reference.metric, value=value, n=len(reference.evaluation.labels), source_value=reference.source_value)


def tell_reasons(skipped: Sequence[Skipped]) -> str:
    """Why each variant was left out, as one clause; those with the same reason are named together."""
    named: dict[str, list[str]] = {}
    for one in skipped:
        named.setdefault(one.reason.rstrip("."), []).append(one.id)
    return "; ".join(f"{', '.join(ids)}: {reason}" for reason, ids in named.items())


def choose_paying(paying: Sequence[str], worth: Sequence[str]) -> Sequence[str]:
    """Those of *paying*, which a target gains by, that suit the model too.

    How a model's activations get their integers depends on what kind of model it is, and *worth* says that. Where
    nothing is left the target decides: what takes one precision alone must have it.
    """
    integers = [name for name in paying if PRECISIONS[name].scheme is not None and name in worth]
    floats = [name for name in paying if PRECISIONS[name].scheme is None]
    return [*integers, *floats] or paying
