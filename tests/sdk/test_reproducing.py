"""A bundle that is made again is held against what it was, and nothing that came out otherwise is passed over."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as replace_fields

from edgekit.artifacts import FileEntry
from edgekit.build import build_bundle
from edgekit.build_request import BuildRequest
from edgekit.bundles import MANIFEST, VerifiedBundle, open_bundle
from edgekit.contract import Feature, Processing, Tokenize
from edgekit.contract_choice import place_files
from edgekit.conversion import SourceOptions
from edgekit.errors import InputError
from edgekit.files import digest_bytes, digest_file
from edgekit.manifest import Metric
from edgekit.processing.presets import read_processing
from edgekit.reproducing import Given, Reproduction, VariantResult, compare_metrics, find_differences, reproduce_bundle, request_again

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
GIVEN = Given(source=DIGITS / "digits.onnx", calibration=DIGITS / "calibration.npz", evaluation=DIGITS / "evaluation.npz")


def quiet(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> VerifiedBundle:
    """The digits as ONNX and OpenVINO, in fp32 and in int8, with data."""
    destination = tmp_path_factory.mktemp("made") / "bundle"
    data = {"calibration": GIVEN.calibration, "evaluation": GIVEN.evaluation}
    formats = {"formats": ("onnx", "openvino"), "precisions": ("fp32", "int8")}
    build_bundle(BuildRequest(source=DIGITS / "digits.onnx", destination=destination, **formats, **data), quiet)
    return open_bundle(destination)


@pytest.fixture
def copy(made: VerifiedBundle, tmp_path: Path) -> VerifiedBundle:
    """A bundle of the test's own, with the ONNX variants alone, so that making it again takes a second or two."""
    shutil.copytree(made.root, tmp_path / "copy")
    variants = tuple(variant for variant in made.manifest.variants if variant.format == "onnx")
    tools = {name: version for name, version in made.manifest.lineage.tools.items() if name not in ("openvino", "nncf")}
    lineage = replace_fields(made.manifest.lineage, recipe=made.manifest.lineage.recipe | {"formats": ["onnx"]}, tools=tools)
    return rewrite(open_bundle(tmp_path / "copy"), variants=variants, defaults={}, lineage=lineage)


def rewrite(bundle: VerifiedBundle, **fields: object) -> VerifiedBundle:
    (bundle.root / MANIFEST).write_bytes(replace_fields(bundle.manifest, **fields).encode())
    return open_bundle(bundle.root)


def find(found: Reproduction, name: str) -> VariantResult:
    return next(one for one in found.variants if one.id == name)


@pytest.mark.workstation
def test_onnx_and_openvino_come_out_byte_by_byte(made: VerifiedBundle, tmp_path: Path) -> None:
    """Made again of the same source and data, every file of ONNX and OpenVINO has the same bytes, and the metrics are the same."""
    found = reproduce_bundle(made, GIVEN, tmp_path / "again", quiet)
    assert found.agrees
    assert found.shared == {"golden.npz": True}
    assert found.differences == ()
    assert [one.id for one in found.variants] == ["onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-int8"]
    assert {one.verdict for one in found.variants} == {"same bytes"}
    assert {one.metric.verdict for one in found.variants if one.metric} == {"same"}
    assert find(found, "openvino-int8").files == {f"variants/openvino-int8/model.{kind}": True for kind in ("xml", "bin")}
    assert open_bundle(tmp_path / "again").manifest.files == made.manifest.files


@pytest.mark.workstation
def test_other_data_are_named_first(copy: VerifiedBundle, tmp_path: Path) -> None:
    """With other calibration data that is the difference, and what came of it is held against the bundle's golden samples."""
    with np.load(DIGITS / "calibration.npz") as arrays:
        np.savez(tmp_path / "fewer.npz", image=arrays["image"][:100])
    found = reproduce_bundle(copy, replace(GIVEN, calibration=tmp_path / "fewer.npz"), tmp_path / "again", quiet)
    assert "calibration data" in {one.what for one in found.differences}
    assert find(found, "onnx-fp32").verdict == "same bytes"
    quantised = find(found, "onnx-int8")
    assert quantised.verdict in ("within parity", "differs")
    assert "deterministic" not in quantised.note


@pytest.mark.workstation
def test_tensors_that_are_the_same_are_told_from_bytes(copy: VerifiedBundle, tmp_path: Path) -> None:
    """A file in which only a remark is different has the same tensors, and the tools that might write it otherwise are named."""
    import onnx

    path = copy.path_of(copy.manifest.variants[0])
    model = onnx.load(path)
    model.producer_name = "another"
    copy = put_model(copy, model)
    result = find(reproduce_bundle(copy, GIVEN, tmp_path / "again", quiet), "onnx-fp32")
    assert (result.verdict, result.agrees, result.files) == ("same tensors", True, {"variants/onnx-fp32/model.onnx": False})
    assert "constants are the same" in result.note
    assert "one of onnx, onnxruntime, onnxslim, onnx-ir is not deterministic" in result.note


@pytest.mark.workstation
def test_weights_that_differ_a_little_are_within_parity(copy: VerifiedBundle, tmp_path: Path) -> None:
    """A constant that is a little off is told with its distance, and the variant is as good as the one that there was."""
    import onnx

    model = onnx.load(copy.path_of(copy.manifest.variants[0]))
    weights = next(one for one in model.graph.initializer if one.name == "features.0.weight")
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * np.float32(1 + 1e-6), weights.name))
    found = reproduce_bundle(put_model(copy, model), GIVEN, tmp_path / "again", quiet)
    result = find(found, "onnx-fp32")
    assert result.verdict == "within parity"
    assert "1 of 11 constants differ, by" in result.note
    assert found.agrees


@pytest.mark.workstation
def test_other_answers_than_the_bundles_golden_samples_differ(copy: VerifiedBundle, tmp_path: Path) -> None:
    """Where what is made now does not give the answers that the bundle has recorded, it differs, and nothing agrees."""
    import onnx

    model = onnx.load(copy.path_of(copy.manifest.variants[0]))
    model.producer_name = "another"
    copy = put_model(copy, model)
    golden = copy.read_golden()
    recorded = replace(golden, outputs={name: array * 1.5 for name, array in golden.outputs.items()}).encode()
    (copy.root / "golden.npz").write_bytes(recorded)
    copy = rewrite(copy, golden=replace_fields(copy.manifest.golden, digest=digest_bytes(recorded), length=len(recorded)))
    found = reproduce_bundle(copy, GIVEN, tmp_path / "again", quiet)
    assert find(found, "onnx-fp32").verdict == "differs"
    assert "logits deviates by" in find(found, "onnx-fp32").note
    assert (found.shared, found.agrees) == ({"golden.npz": False}, False)


def put_model(bundle: VerifiedBundle, model: object) -> VerifiedBundle:
    """*bundle* with *model* as its first variant."""
    import onnx

    first, *others = bundle.manifest.variants
    path = bundle.path_of(first)
    onnx.save(model, path)
    entry = replace_fields(first.files[0], digest=digest_file(path), length=path.stat().st_size)
    return rewrite(bundle, variants=(replace_fields(first, files=(entry,)), *others))


@pytest.mark.workstation
def test_a_variant_that_is_not_made_now_is_said(copy: VerifiedBundle, tmp_path: Path) -> None:
    """A variant that cannot be made this time is named with the reason, a new one is no fault, and the whole does not agree."""
    recipe = {key: value for key, value in copy.manifest.lineage.recipe.items() if key not in ("calibration", "precisions")}
    copy = rewrite(copy, lineage=replace_fields(copy.manifest.lineage, recipe=recipe))
    found = reproduce_bundle(copy, replace(GIVEN, calibration=None), tmp_path / "again", quiet)
    missing = find(found, "onnx-int8")
    assert (missing.verdict, "--calibration" in missing.note) == ("not made", True)
    assert not found.agrees
    lineage = replace_fields(copy.manifest.lineage, recipe=recipe | {"calibration": "calibration.npz"})
    fewer = rewrite(copy, variants=copy.manifest.variants[1:], lineage=lineage)
    found = reproduce_bundle(fewer, GIVEN, tmp_path / "more", quiet)
    assert find(found, "onnx-fp32").verdict == "new"
    assert found.agrees


@pytest.mark.parametrize(
    ("value", "interval", "verdict"),
    [(0.98, None, "same"), (0.97, None, "differs"), (0.97, (0.96, 0.99), "within"), (0.9, (0.96, 0.99), "differs")],
)
def test_a_metric_is_held_against_what_it_was_sure_of(value: float, interval: tuple[float, float] | None, verdict: str) -> None:
    """A metric is the same, lies within the interval that there was, or differs, and then the variant does not agree."""
    before = Metric(name="top1", value=0.98, n=500, source_value=0.99, interval=interval)
    result = compare_metrics(before, replace_fields(before, value=value))
    assert result is not None
    assert result.verdict == verdict
    assert VariantResult(id="onnx-fp32", verdict="same bytes", metric=result).agrees is (verdict != "differs")


def test_metrics_of_two_kinds_are_not_compared() -> None:
    """Without a metric on either side, or with another one, there is nothing to hold side by side."""
    metric = Metric(name="top1", value=0.98, n=500, source_value=0.99)
    assert compare_metrics(metric, None) is compare_metrics(None, metric) is compare_metrics(metric, replace_fields(metric, name="f1")) is None


def test_what_was_not_as_it_was_is_told(make_manifest) -> None:
    """Source, data, versions, platform and machine are compared; that it is another time or another speed is no difference."""
    before = make_manifest()
    assert find_differences(before, make_manifest()) == []
    lineage = replace_fields(before.lineage, source_digest="sha256:" + "0" * 64, tools={"onnx": "1.24"}, platform="Linux")
    assert [one.what for one in find_differences(before, replace_fields(before, lineage=lineage))] == ["source", "platform", "onnx"]


def test_a_bundle_of_before_recipes_says_so(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """Without a recipe there is nothing to go by: the refusal shows the options that are known."""
    with pytest.raises(InputError, match=r"before recipes were kept.*its options were: none"):
        reproduce_bundle(small_bundle, Given(), tmp_path / "again", quiet)


def give_recipe(bundle: VerifiedBundle, **recipe: object) -> VerifiedBundle:
    return rewrite(bundle, lineage=replace_fields(bundle.manifest.lineage, recipe=recipe))


def test_files_are_found_beside_the_bundle(small_bundle: VerifiedBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the recipe names is looked for from here and from beside the bundle; one that is nowhere is asked for with its digest."""
    bundle = give_recipe(small_bundle, source="digits.onnx")
    digest = bundle.manifest.lineage.source_digest
    with pytest.raises(InputError, match=rf"--source: the bundle was made of 'digits\.onnx', which is not here.*{digest}"):
        request_again(bundle, Given(), tmp_path / "again", tmp_path)
    beside = bundle.root.parent / "digits.onnx"
    beside.touch()
    assert request_again(bundle, Given(), tmp_path / "again", tmp_path).source == beside
    (tmp_path / "digits.onnx").touch()
    monkeypatch.chdir(tmp_path)
    assert request_again(bundle, Given(), tmp_path / "again", tmp_path).source == Path("digits.onnx")


def test_the_request_is_that_of_the_recipe(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """Every option is as it was; the name is the bundle's, and files are those that were given."""
    recipe = {
        "source": "x.onnx",
        "precisions": ["fp32"],
        "max_drop": 0.5,
        "seed": 3,
        "shapes": {"batch": [1]},
        "digests": {"source": "sha256:" + "a" * 64},
    }
    request = request_again(give_recipe(small_bundle, **recipe), Given(source=tmp_path / "y.onnx"), tmp_path / "again", tmp_path)
    assert request == BuildRequest(
        source=tmp_path / "y.onnx",
        destination=tmp_path / "again",
        name="digits",
        precisions=("fp32",),
        max_drop=0.5,
        seed=3,
        options=SourceOptions(shapes={"batch": (1,)}),
    )


def test_the_contract_is_that_of_the_bundle(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """The contract and its files come from the bundle, so that neither the user's file nor a preset of today's decides."""
    text = Feature(name="text", kind="text", steps=(Tokenize(file="processing/words/tokenizer.json", feeds={"x": "ids"}),))
    place = small_bundle.root / "processing" / "words" / "tokenizer.json"
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    entry = FileEntry(path="processing/words/tokenizer.json", digest=digest_file(place), length=2)
    bundle = rewrite(give_recipe(small_bundle, source="x.onnx", task="text"), processing=Processing(task="text", inputs=(text,), files=(entry,)))
    request = request_again(bundle, GIVEN, tmp_path / "again", tmp_path)
    assert request.processing is not None
    assert request.task is None
    given = read_processing(request.processing)
    root = tmp_path / "placed"
    files = {one.path: request.processing.parent / one.path for one in given.files}
    assert place_files(given, files, root) == bundle.manifest.processing


@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ({"source": "shop.models:make"}, Given()),
        ({"source": "model.keras", "allow_code": True}, GIVEN),
        ({"source": "model.onnx", "evaluation": "e.npz", "metric": "shop:profit"}, GIVEN),
    ],
)
def test_a_strangers_bundle_runs_no_code(small_bundle: VerifiedBundle, tmp_path: Path, recipe: dict[str, object], given: Given) -> None:
    """What the recipe of a bundle would have run here must be allowed, and is named."""
    bundle = give_recipe(small_bundle, **recipe)
    with pytest.raises(InputError, match=r"asks for code that runs here.*--unsafe-allow-code"):
        request_again(bundle, given, tmp_path / "again", tmp_path)
    assert request_again(bundle, replace(given, allow_code=True), tmp_path / "again", tmp_path).destination == tmp_path / "again"


def test_a_factory_that_was_given_is_the_users_own(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """A source named on the command line is nobody else's wish, so it needs no leave."""
    bundle = give_recipe(small_bundle, source="shop.models:make")
    request = request_again(bundle, Given(source=Path("shop.models:make")), tmp_path / "again", tmp_path)
    assert str(request.source) == "shop.models:make"


def test_a_recipe_that_is_damaged_is_named(small_bundle: VerifiedBundle, tmp_path: Path) -> None:
    """A recipe with a field that nobody knows, as of a newer edgekit, is refused by the field's name."""
    with pytest.raises(InputError, match=r"manifest\.json: Object contains unknown field `distil`"):
        request_again(give_recipe(small_bundle, source="x.onnx", distil=True), GIVEN, tmp_path / "again", tmp_path)


def test_a_bundle_is_never_replaced_by_itself(small_bundle: VerifiedBundle) -> None:
    """The directory of the bundle is refused as the place for what is made again, however it is written."""
    for place in (small_bundle.root, small_bundle.root / ".." / small_bundle.root.name):
        with pytest.raises(InputError, match="it is the bundle itself"):
            reproduce_bundle(small_bundle, GIVEN, place, quiet)
