"""From a source model to a bundle: convert, prove, evaluate, time, judge, and write what was measured."""

import platform
import re
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edgekit.artifacts import FileEntry
from edgekit.benchmark import describe_measurement, measure_latencies, take_sample
from edgekit.build_request import BuildRequest, Progress
from edgekit.bundles import MANIFEST
from edgekit.candidates import Candidate, Findings, Workbench
from edgekit.errors import InputError
from edgekit.files import digest_bytes, digest_file, replacing_directory
from edgekit.gate import choose_default
from edgekit.hardware import describe_hardware
from edgekit.manifest import Lineage, Manifest, Variant
from edgekit.reference import Reference, consult_source
from edgekit.report import REPORT, write_report
from edgekit.targets import find_target

GOLDEN = "golden.npz"


def build_bundle(request: BuildRequest, progress: Progress) -> Manifest:
    """Make a bundle of *request.source* at *request.destination*: the whole bundle is there afterwards, or nothing new.

    Raises:
        InputError: the source or the data cannot be used, or the destination is taken by something else.
        ConversionError: a format or precision that was asked for cannot be made.
        GateRefused: no variant keeps the bound; the message names the best.
        DeviceError: the disk is full, or a runtime is missing.
    """
    request.check()
    name = _find_name(request)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as workspace, replacing_directory(request.destination) as staging:
        progress("reading the source model", 0, 1)
        reference = consult_source(request, Path(workspace))
        with Workbench(request, reference, staging) as bench:
            findings = bench.make_all(progress)
            findings.check(request)
            variants = _time_variants(findings.candidates, reference, progress)
        manifest = _describe(name, request, reference, findings, variants, staging)
        (staging / MANIFEST).write_bytes(msgspec.json.format(manifest.encode(), indent=2))
        write_report(manifest, staging / REPORT)
    return manifest


def _find_name(request: BuildRequest) -> str:
    """The model's name: the one given, else the source's file name in the letters that a name may have."""
    name = request.name or re.sub(r"[^A-Za-z0-9_-]+", "-", request.source.name.split(".")[0]).strip("-_")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise InputError(f"name {name!r}", "a name has 1 to 64 letters, digits, '-' and '_', the first a letter or digit", "Give one with --name.")
    return name


def _time_variants(candidates: Sequence[Candidate], reference: Reference, progress: Progress) -> list[Variant]:
    """Each candidate's variant with what it cost on this machine, timed in turn with the others."""
    sample = take_sample(reference.golden.inputs, reference.model.inputs)
    sessions = {one.variant.id: one.session for one in candidates}
    latencies = measure_latencies(sessions, sample, progress=lambda done, total: progress("timing the variants", done, total))
    hardware = describe_hardware()
    measured = [describe_measurement(one.session, latencies[one.variant.id], hardware) for one in candidates]
    return [replace(one.variant, measured=(measurement,)) for one, measurement in zip(candidates, measured, strict=True)]


def _describe(name: str, request: BuildRequest, reference: Reference, findings: Findings, variants: list[Variant], staging: Path) -> Manifest:
    golden = reference.golden.encode()
    (staging / GOLDEN).write_bytes(golden)
    target = find_target(describe_hardware())
    choice = choose_default(variants, target)
    return Manifest(
        name=name,
        inputs=reference.model.inputs,
        outputs=reference.model.outputs,
        golden=FileEntry(path=GOLDEN, digest=digest_bytes(golden), length=len(golden)),
        golden_origin=reference.golden_origin,
        variants=tuple(variants),
        defaults={} if choice is None else {target: choice},
        skipped=tuple(findings.skipped),
        lineage=_trace(request, reference, findings),
    )


def _trace(request: BuildRequest, reference: Reference, findings: Findings) -> Lineage:
    return Lineage(
        source=request.source.name,
        source_format=reference.model.format,
        source_digest=digest_file(request.source),
        source_size=request.source.stat().st_size,
        calibration_digest=None if request.calibration is None else digest_file(request.calibration),
        evaluation_digest=None if request.evaluation is None else digest_file(request.evaluation),
        tools={"edgekit": version("edgekit"), "python": platform.python_version()} | reference.model.tools | findings.tools,
        options=request.describe(),
        platform=platform.platform(),
    )
