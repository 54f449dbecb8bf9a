"""From a source model to a bundle: convert, prove, evaluate, time, judge, and write what was measured."""

import platform
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
from edgekit.files import digest_bytes, digest_file, digest_files, replacing_directory
from edgekit.gate import choose_default
from edgekit.hardware import describe_hardware
from edgekit.manifest import Lineage, Manifest, Variant
from edgekit.model_card import CARD, write_card
from edgekit.recipe import Digests, check_digests, describe_request
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
    name = request.find_name()
    with tempfile.TemporaryDirectory(prefix="edgekit-") as workspace, replacing_directory(request.destination) as staging:
        progress("reading the source model", 0, 1)
        reference = consult_source(request, Path(workspace))
        lineage = _trace(request, reference)
        check_digests(request, Digests.of(lineage))
        with Workbench(request, reference, staging) as bench:
            findings = bench.make_all(progress)
            findings.check(request)
            variants = _time_variants(findings.candidates, reference, progress)
        lineage = replace(lineage, tools=lineage.tools | findings.tools)
        manifest = _describe(name, reference, findings, variants, lineage, staging)
        (staging / MANIFEST).write_bytes(msgspec.json.format(manifest.encode(), indent=2))
        write_report(manifest, staging / REPORT)
        write_card(manifest, staging / CARD)
    return manifest


def _time_variants(candidates: Sequence[Candidate], reference: Reference, progress: Progress) -> list[Variant]:
    """Each candidate's variant with what it cost on this machine, timed in turn with the others.

    One that was made for an accelerator is left untimed: what its runtime here would take says nothing of it there.
    """
    timed = [one for one in candidates if one.variant.accelerator is None]
    sample = take_sample(reference.golden.inputs, reference.model.inputs)
    sessions = {one.variant.id: one.session for one in timed}
    latencies = measure_latencies(sessions, sample, progress=lambda done, total: progress("timing the variants", done, total))
    hardware = describe_hardware()
    measured = {one.variant.id: (describe_measurement(one.session, latencies[one.variant.id], hardware),) for one in timed}
    return [replace(one.variant, measured=measured.get(one.variant.id, ())) for one in candidates]


def _describe(name: str, reference: Reference, findings: Findings, variants: list[Variant], lineage: Lineage, staging: Path) -> Manifest:
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
        lineage=lineage,
    )


def _trace(request: BuildRequest, reference: Reference) -> Lineage:
    """Where the bundle comes from, as far as that is known before anything is made."""
    files = reference.model.files
    return Lineage(
        source=request.source.name,
        source_format=reference.model.format,
        source_digest=digest_files(files),
        source_size=sum(file.stat().st_size for file in files),
        calibration_digest=None if request.calibration is None else digest_file(request.calibration),
        evaluation_digest=None if request.evaluation is None else digest_file(request.evaluation),
        tools={"edgekit": version("edgekit"), "python": platform.python_version(), **reference.model.tools},
        options=request.describe(),
        platform=platform.platform(),
        recipe=describe_request(request).list_fields(),
    )
