"""A bundle made again from its own lineage, and held against what it was: file by file, and in what was measured."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from msgspec.structs import replace as replace_fields

from edgekit.artifacts import FileEntry
from edgekit.box_parity import prepare_box_reader
from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest, Progress
from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.changes import Change, compare_texts
from edgekit.contract import Step, Tokenize
from edgekit.contract_choice import FOLDER
from edgekit.errors import ConversionError, DeviceError, InputError, ParityError
from edgekit.manifest import Manifest, Metric, Variant
from edgekit.measuring import IsolatedSession
from edgekit.parity import prove
from edgekit.plugins import TARGETS, find_plugins, load_plugin
from edgekit.recipe import Recipe, convert_recipe, is_factory
from edgekit.records import Digest, Name, Record
from edgekit.runtimes.registry import find_runtime
from edgekit.weights import compare_weights, read_weights

#: What a bundle is made of, each by a field of its recipe.
_ROLES = ("source", "calibration", "evaluation", "example")

#: What a lineage names among the tools that writes no file by itself.
_OUR_OWN = ("edgekit", "python", "passes", "framework")

Verdict = Literal["same bytes", "same tensors", "within parity", "differs", "not made", "new"]
AGREEING: tuple[Verdict, ...] = ("same bytes", "same tensors", "within parity")


@dataclass(frozen=True)
class Given:
    """Where the files lie that the bundle was made of; None looks where its recipe says.

    *allow_code* lets code run that the recipe asks for: a factory for the source, somebody's own metric, a model's own layers.
    """

    source: Path | None = None
    calibration: Path | None = None
    evaluation: Path | None = None
    example: Path | None = None
    allow_code: bool = False


class MetricResult(Record, frozen=True, kw_only=True):
    """A metric as it was and as it is now: the ``same``, ``within`` the interval that it was sure of, or one that ``differs``."""

    name: str
    before: float
    after: float
    verdict: Literal["same", "within", "differs"]


class VariantResult(Record, frozen=True, kw_only=True):
    """What became of one variant. *files* has each of its files with whether its bytes are the same. *note* says more in words."""

    id: Name
    verdict: Verdict
    files: dict[str, bool] = {}
    metric: MetricResult | None = None
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Whether it is as good as the one that there was."""
        return self.verdict in AGREEING and (self.metric is None or self.metric.verdict != "differs")


class Reproduction(Record, frozen=True, kw_only=True):
    """What came of making a bundle again.

    *differences* are those between then and now that nobody's arithmetic is to blame for: source, data, versions, machine.
    *shared* has each file that all variants share, such as the golden samples, with whether its bytes are the same.
    """

    name: Name
    digest: Digest
    differences: tuple[Change, ...]
    shared: dict[str, bool]
    variants: tuple[VariantResult, ...]

    @property
    def agrees(self) -> bool:
        """Whether every variant agrees, and none is missing."""
        return all(variant.agrees for variant in self.variants if variant.verdict != "new")


def reproduce_bundle(bundle: VerifiedBundle, given: Given, destination: Path, progress: Progress) -> Reproduction:
    """Make *bundle* again in the directory *destination*, and hold the two side by side.

    Raises:
        InputError: it does not say how it was made, or what it was made of is not here; the message says what to give.
        EdgekitError: it cannot be made again; as build_bundle raises.
    """
    if destination.absolute() == bundle.root.absolute() or (destination.exists() and destination.samefile(bundle.root)):
        raise InputError(destination, "it is the bundle itself, which would be replaced by what is made again", "Name another directory with -o.")
    with tempfile.TemporaryDirectory(prefix="edgekit-") as workspace:
        build_bundle(request_again(bundle, given, destination, Path(workspace)), progress)
    again = open_bundle(destination)
    differences = tuple(find_differences(bundle.manifest, again.manifest))
    return Reproduction(
        name=bundle.manifest.name,
        digest=bundle.digest,
        differences=differences,
        shared=_compare_digests(bundle.manifest.shared_files, again.manifest.shared_files),
        variants=tuple(_compare_variants(bundle, again, is_explained=bool(differences))),
    )


def request_again(bundle: VerifiedBundle, given: Given, destination: Path, workspace: Path) -> BuildRequest:
    """The request by which *bundle* was made, with the contract that it holds, copied into *workspace*.

    Raises:
        InputError: it has no recipe, its recipe asks for code that was not allowed, or a file that it was made of is not here.
    """
    recipe = _read_recipe(bundle, given)
    request = recipe.to_request(destination)
    found = {role: _find_file(bundle, role, getattr(given, role), getattr(recipe, role)) for role in _ROLES}
    options = replace(request.options, example=found["example"])
    contract = _copy_contract(bundle, workspace)
    return replace(
        request,
        source=found["source"] or request.source,
        name=bundle.manifest.name,
        options=options,
        calibration=found["calibration"],
        evaluation=found["evaluation"],
        processing=contract,
        task=None if contract is not None else request.task,
        digests={},
    )


def _read_recipe(bundle: VerifiedBundle, given: Given) -> Recipe:
    path = bundle.root / MANIFEST
    fields = bundle.manifest.lineage.recipe
    if not fields:
        options = ", ".join(f"{name} {value}" for name, value in bundle.manifest.lineage.options.items()) or "none"
        problem = "it was made before recipes were kept in bundles, so it does not say how"
        raise InputError(path, problem, f"Make it with edgekit convert; its options were: {options}.")
    recipe = convert_recipe(fields, path)
    # A source that was given on the command line is nobody else's wish.
    asking = [field for field in recipe.code if not (field == "source" and given.source is not None)]
    if asking and not given.allow_code:
        problem = f"its recipe asks for code that runs here: {', '.join(f'{field} {getattr(recipe, field)}' for field in asking)}"
        raise InputError(path, problem, "Give --unsafe-allow-code if you trust that code.")
    return recipe


def _find_file(bundle: VerifiedBundle, role: str, given: Path | None, written: str | None) -> Path | None:
    """Where the file lies that *role* needs: as given, else as the recipe has it, seen from here or from beside the bundle."""
    if given is not None or written is None or is_factory(written):
        return given
    places = (Path(written), bundle.root.absolute().parent / written)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        digest = getattr(bundle.manifest.lineage, f"{role}_digest", None)
        told = f" Its digest is {digest}." if digest else ""
        raise InputError(f"--{role}", f"the bundle was made of {written!r}, which is not here", f"Give it with --{role} PATH.{told}")
    return found


def _copy_contract(bundle: VerifiedBundle, workspace: Path) -> Path | None:
    """The contract that *bundle* holds, as a file in *workspace* beside the files that it names; None where it has none."""
    contract = bundle.manifest.processing
    if contract is None:
        return None
    path = workspace / "given" / "contract.json"
    for entry in contract.files:
        place = path.parent / _lift(entry.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.root / entry.path, place)
    inputs = tuple(replace_fields(feature, steps=tuple(map(_lift_file, feature.steps))) for feature in contract.inputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(replace_fields(contract, inputs=inputs, files=()).encode())
    return path


def _lift(name: str) -> str:
    """The name that a contract's file had before the build put it into the bundle's folder for them."""
    return name.removeprefix(f"{FOLDER}/")


def _lift_file(step: Step) -> Step:
    return replace_fields(step, file=_lift(step.file)) if isinstance(step, Tokenize) else step


def find_differences(before: Manifest, after: Manifest) -> list[Change]:
    """What was not the same when *after* was made: source, data, versions of tools, platform and machine."""
    return compare_texts(_list_conditions(before), _list_conditions(after))


def _list_conditions(manifest: Manifest) -> dict[str, str]:
    lineage = manifest.lineage
    digests = {"source": lineage.source_digest, "calibration data": lineage.calibration_digest, "evaluation data": lineage.evaluation_digest}
    taken = {f"samples taken for {one.role}": one.taken for one in lineage.data}
    machines = {one.machine: None for variant in manifest.variants for one in variant.measured}
    return {
        **{name: digest or "" for name, digest in digests.items()},
        **taken,
        **lineage.tools,
        "platform": lineage.platform,
        # Any machine may have measured the bundle since; the one that made it stands first.
        "machine": next(iter(machines), ""),
    }


def _compare_digests(before: Sequence[FileEntry], after: Sequence[FileEntry]) -> dict[str, bool]:
    """Each file of *before* with whether *after* has the same bytes there."""
    digests = {entry.path: entry.digest for entry in after}
    return {entry.path: digests.get(entry.path) == entry.digest for entry in before}


def _compare_variants(bundle: VerifiedBundle, again: VerifiedBundle, *, is_explained: bool) -> Iterator[VariantResult]:
    made = {variant.id: variant for variant in again.manifest.variants}
    reasons = {one.id: one.reason for one in again.manifest.skipped}
    for variant in bundle.manifest.variants:
        if variant.id in made:
            yield _compare_variant(bundle, variant, again, made.pop(variant.id), is_explained=is_explained)
        else:
            yield VariantResult(id=variant.id, verdict="not made", note=reasons.get(variant.id, "it is not among what is tried now"))
    for name in made:
        yield VariantResult(id=name, verdict="new", note="it was not in the bundle")


def _compare_variant(bundle: VerifiedBundle, variant: Variant, again: VerifiedBundle, made: Variant, *, is_explained: bool) -> VariantResult:
    files = _compare_digests(variant.files, made.files)
    metric = compare_metrics(variant.metric, made.metric)
    if all(files.values()) and len(files) == len(made.files):
        return VariantResult(id=variant.id, verdict="same bytes", files=files, metric=metric)
    verdict, note = _judge(bundle, variant, again, made)
    if not is_explained:
        note = f"{note}; {_name_tools(variant, again.manifest.lineage.tools)}"
    return VariantResult(id=variant.id, verdict=verdict, files=files, metric=metric, note=note)


def _judge(bundle: VerifiedBundle, variant: Variant, again: VerifiedBundle, made: Variant) -> tuple[Verdict, str]:
    """How good the files *made* are in the place of those of *variant*, and in what they differ."""
    fault = _find_fault(bundle, variant, again, made)
    if fault is not None:
        return "differs", fault
    try:
        before, after = (read_weights(one.path_of(each), each.format) for one, each in ((bundle, variant), (again, made)))
    except (DeviceError, InputError) as error:
        return "within parity", f"its constants are unknown: {error.problem}"
    changes = compare_weights(before, after)
    if not changes:
        return "same tensors", f"its {len(before)} constants are the same, and what differs is written around them"
    largest = max((change.max_abs for change in changes if change.max_abs is not None), default=None)
    told = "" if largest is None else f", by {largest:.2g} at most"
    return "within parity", f"{len(changes)} of {len({*before, *after})} constants differ{told}"


def _find_fault(bundle: VerifiedBundle, variant: Variant, again: VerifiedBundle, made: Variant) -> str | None:
    """Why what was *made* would not pass on a device for *variant*, by the bundle's own golden samples and tolerance; None where it would."""
    manifest = bundle.manifest
    runtime = find_runtime(made.format).name
    try:
        with IsolatedSession(again.path_of(made), made, manifest.inputs, manifest.outputs, runtime) as session:
            boxes = prepare_box_reader(manifest.processing, manifest.outputs)
            prove(session, bundle.read_golden(), variant.tolerance, variant.id, boxes)
    except (ParityError, InputError, ConversionError, DeviceError) as error:
        # Whatever it does instead of giving the recorded answers, a device would not take it.
        return error.problem
    return None


def _name_tools(variant: Variant, used: Iterable[str]) -> str:
    """Whose fault it may be that bytes differ where source, data, versions and machine do not: of the tools that were *used*, those
    that read the source, and those that made this format.
    """
    made_by = {name: set(load_plugin(TARGETS, name)().list_tools()) for name in find_plugins(TARGETS)}
    mine = next((tools for name, tools in made_by.items() if variant.id.startswith(f"{name}-")), set())
    others = set().union(*made_by.values()) - mine
    tools = ", ".join(name for name in used if name not in others and name not in _OUR_OWN)
    return f"of the same source and data, on the same machine, other bytes were written: one of {tools} is not deterministic"


def compare_metrics(before: Metric | None, after: Metric | None) -> MetricResult | None:
    """How *after* stands to *before*; None where one is missing, or they are not the same metric."""
    if before is None or after is None or before.name != after.name:
        return None
    low, high = before.interval or (before.value, before.value)
    same = abs(before.value - after.value) <= 1e-9
    verdict: Literal["same", "within", "differs"] = "same" if same else "within" if low <= after.value <= high else "differs"
    return MetricResult(name=before.name, before=before.value, after=after.value, verdict=verdict)
