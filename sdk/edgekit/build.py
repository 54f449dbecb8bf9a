"""From a source model to a bundle: convert, prove, evaluate, time, judge, and write what was measured."""

import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edgekit.artifacts import FileEntry
from edgekit.benchmark import describe_measurement, measure_latencies, take_sample
from edgekit.build_request import BuildRequest, Progress
from edgekit.bundles import MANIFEST
from edgekit.candidates import Candidate, Findings, Workbench
from edgekit.contract_choice import list_libraries
from edgekit.files import digest_bytes, digest_files, replacing_directory
from edgekit.gate import choose_default
from edgekit.golden_raw import GoldenRaw, derive_agreement, measure_answers
from edgekit.hardware import describe_hardware
from edgekit.manifest import Lineage, Manifest, Variant
from edgekit.model_card import CARD, write_card
from edgekit.recipe import Digests, check_digests, describe_request
from edgekit.reference import Reference, consult_source
from edgekit.report import REPORT, write_report
from edgekit.targets import find_target

GOLDEN, GOLDEN_RAW = "golden.npz", "golden-raw.npz"


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
        reference = consult_source(request, Path(workspace), progress)
        lineage = _trace(request, reference)
        check_digests(request, Digests.of(lineage))
        with Workbench(request, reference, staging) as bench:
            findings = bench.make_all(progress)
            findings.check(request)
            agreements = _measure_raw(findings.candidates, reference, progress)
            variants = _time_variants(findings.candidates, reference, progress)
        lineage = replace(lineage, tools=lineage.tools | findings.tools)
        _copy_processing(reference, staging)
        manifest = _describe(name, reference, findings, variants, lineage, _write_golden(reference, agreements, staging))
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


def _measure_raw(candidates: Sequence[Candidate], reference: Reference, progress: Progress) -> dict[str, float]:
    """By variant, the least share to which its answers to the golden raw items must agree with the source's, from what it gives here."""
    agreements = {}
    for done, one in enumerate(candidates if reference.raw else ()):
        progress("proving golden raw items", done, len(candidates))
        measured = measure_answers(reference.choice.pipeline, one.session, reference.raw, one.variant.id)
        agreements[one.variant.id] = derive_agreement(measured)
    return agreements


def _write_golden(reference: Reference, agreements: Mapping[str, float], staging: Path) -> tuple[FileEntry, FileEntry | None]:
    """Put the golden samples and the golden raw items, where there are any, into *staging*."""
    raw = None if not reference.raw else _write(staging, GOLDEN_RAW, GoldenRaw(reference.raw, agreements).encode())
    return _write(staging, GOLDEN, reference.golden.encode()), raw


def _write(staging: Path, path: str, data: bytes) -> FileEntry:
    (staging / path).write_bytes(data)
    return FileEntry(path=path, digest=digest_bytes(data), length=len(data))


def _copy_processing(reference: Reference, staging: Path) -> None:
    """Put the files of the contract into *staging*, at the places that it has for them."""
    for entry in () if reference.choice.contract is None else reference.choice.contract.files:
        (staging / entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(reference.choice.root / entry.path, staging / entry.path)


def _describe(
    name: str, reference: Reference, findings: Findings, variants: list[Variant], lineage: Lineage, files: tuple[FileEntry, FileEntry | None]
) -> Manifest:
    target = find_target(describe_hardware())
    choice = choose_default(variants, target)
    return Manifest(
        name=name,
        inputs=reference.model.inputs,
        outputs=reference.model.outputs,
        golden=files[0],
        golden_origin=reference.golden_origin,
        processing=reference.choice.contract,
        golden_raw=files[1],
        golden_raw_origin=reference.raw_origin,
        variants=tuple(variants),
        defaults={} if choice is None else {target: choice},
        skipped=tuple(findings.skipped),
        warnings=reference.warnings,
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
        calibration_digest=reference.digests.get("calibration"),
        evaluation_digest=reference.digests.get("evaluation"),
        tools={
            "edgekit": version("edgekit"),
            "python": platform.python_version(),
            **list_libraries(reference.choice.contract),
            **reference.model.tools,
        },
        options=request.describe(),
        platform=platform.platform(),
        data=reference.data,
        recipe=describe_request(request).list_fields(),
        parent=request.parent,
    )
