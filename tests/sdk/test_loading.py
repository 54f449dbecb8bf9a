"""``edgekit.load``: a bundle's model answers what callers have in their hands, by the bundle's own contract."""

import io
import threading

import numpy as np
import pytest
from msgspec.structs import replace

import edgekit
from edgekit.bundles import MANIFEST, open_bundle
from edgekit.errors import DeviceError, DigestMismatch, InputError, UnknownName
from edgekit.loading import Model
from edgekit.manifest import Choice, decode_manifest
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.runtimes.sessions import open_variant

KINDS = ("image", "boxes", "mask", "audio", "text", "series")


def change_manifest(root, **fields):
    manifest = decode_manifest((root / MANIFEST).read_bytes())
    (root / MANIFEST).write_bytes(replace(manifest, **fields).encode())


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_is_answered_as_by_hand(make_contract_bundle, kits, kind):
    """Whatever a contract takes, the answer is that of feeding, inferring and reading one after the other."""
    root, kit = make_contract_bundle(kind), kits(kind)
    bundle = open_bundle(root)
    from edgekit.processing.pipeline import open_pipeline

    with edgekit.load(root) as model, open_variant(bundle, bundle.variants[0], OnnxRuntime()) as session:
        pipeline = open_pipeline(bundle.manifest.processing, kit.inputs, kit.outputs, root)
        for item in kit.items:
            fed = pipeline.feed({pipeline.inputs[0].name: item})
            expected = pipeline.read(session.infer(fed.inputs), fed)
            found = model(item).arrays
            assert found.keys() == expected.keys()
            assert all((found[name] == expected[name]).all() for name in expected)


def test_a_picture_may_be_given_in_any_form(make_contract_bundle, kits, tmp_path):
    """A path, its text, bytes, a memoryview, pixels and Pillow's image of one picture have one answer, by position or by name."""
    from PIL import Image

    data = kits("image").items[0]
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    image = Image.open(io.BytesIO(data))
    forms = (path, str(path), data, bytearray(data), memoryview(data), np.asarray(image), image)
    with edgekit.load(make_contract_bundle("image")) as model:
        answers = [model(form) for form in forms] + [model(photo=path)]
    assert {answer.labels for answer in answers} == {("red", "green")}
    assert len({answer.scores.tobytes() for answer in answers}) == 1


def test_pillows_image_is_turned_and_coloured_as_its_file(make_contract_bundle, tmp_path):
    """A JPEG that was taken sideways, and a palette, are answered alike as a file and as the image that Pillow opened."""
    from PIL import Image

    gradient = np.zeros((40, 60, 3), np.uint8)
    gradient[..., 0], gradient[..., 2] = np.linspace(0, 255, 60)[None], np.linspace(255, 0, 40)[:, None]
    sideways, palette = tmp_path / "sideways.jpg", tmp_path / "palette.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient).save(sideways, exif=exif)
    Image.fromarray(gradient).quantize(32).save(palette)
    with edgekit.load(make_contract_bundle("mask")) as model:
        for path in (sideways, palette):
            with Image.open(path) as image:
                assert (model(path).mask == model(image).mask).all()
        assert model(sideways).mask.shape == (60, 40)


def test_a_text_is_no_path(make_contract_bundle, tmp_path, monkeypatch):
    """A text is taken as it is, also where a file has that name; a Path is read."""
    (tmp_path / "good").write_text("awful bad")
    monkeypatch.chdir(tmp_path)
    with edgekit.load(make_contract_bundle("text")) as model:
        assert model("good").labels[0] == "kind"
        assert model(tmp_path / "good").labels[0] == "unkind"
        assert model(b"good day").labels[0] == "kind"


def test_tensors_pass_by_the_contract(make_contract_bundle):
    """infer() takes and gives the model's own tensors, and says so where they do not fit."""
    with edgekit.load(str(make_contract_bundle("image"))) as model:
        logits = model.infer({"x": np.zeros((2, 3, 12, 16), np.float32)})["logits"]
        assert logits.shape == (2, 3)
        assert [spec.name for spec in (*model.inputs, *model.outputs)] == ["x", "logits"]
        assert model.processing.labels == ("red", "green", "blue")
        assert repr(model) == "Model(image, variant onnx-fp32, inputs photo)"
        with pytest.raises(InputError, match="input 'x': its dtype is float64"):
            model.infer({"x": np.zeros((1, 3, 12, 16))})


@pytest.mark.parametrize(
    ("give", "problem"),
    [
        (lambda model, _: model(b"no picture"), r"input 'photo': it is no picture that can be read"),
        (lambda model, root: model(root / "none.png"), r"none\.png: it cannot be read: No such file"),
        (lambda model, root: model(root), r"cannot be read: Is a directory"),
        (lambda model, _: model(7), r"input 'photo': it is a builtins\.int, and a path, bytes"),
        (lambda model, _: model(), r"input 'photo': it is missing"),
        (lambda model, _: model(picture=b""), r"input 'photo': it is missing"),
        (lambda model, _: model(b"", photo=b""), r"item: it has no name.*photo=…"),
        (lambda model, _: model(np.zeros((4, 4))), r"input 'photo': it is float64\[4, 4\]"),
    ],
)
def test_what_is_no_item_is_refused_by_name(make_contract_bundle, give, problem):
    """The refusal names the input or the file, and what was expected; the model answers the next."""
    root = make_contract_bundle("image")
    with edgekit.load(root) as model:
        with pytest.raises(InputError, match=problem):
            give(model, root)
        assert model(np.zeros((4, 4, 3), np.uint8)).labels is not None


def test_a_file_that_is_too_large_is_not_read(make_contract_bundle, tmp_path, monkeypatch):
    """More bytes than an item may have are refused, whatever the file says of itself."""
    monkeypatch.setattr("edgekit.loading.MAX_ITEM_BYTES", 10)
    (tmp_path / "long.png").write_bytes(bytes(11))
    with edgekit.load(make_contract_bundle("image")) as model, pytest.raises(InputError, match=r"long\.png: it is larger than"):
        model(tmp_path / "long.png")


def test_a_bundle_without_a_contract_takes_tensors(make_contract_bundle):
    """Without a contract nothing can be called, the refusal says what to do, and tensors go on."""
    root = make_contract_bundle("image")
    change_manifest(root, processing=None, golden_raw=None)
    with edgekit.load(root) as model:
        assert model.processing is None
        with pytest.raises(InputError, match=r"no processing contract.*model\.infer"):
            model(b"")
        assert model.infer({"x": np.zeros((1, 3, 12, 16), np.float32)})["logits"].shape == (1, 3)


def test_a_missing_library_is_told_when_it_is_needed(make_contract_bundle, lack_libraries):
    """Where Pillow cannot be imported the model loads and takes tensors, and an item is refused with the extra's name."""
    root = make_contract_bundle("image")
    lack_libraries("PIL")
    with edgekit.load(root) as model:
        with pytest.raises(DeviceError, match=r"edgekit\[images\]"):
            model(b"")
        assert model.infer({"x": np.zeros((1, 3, 12, 16), np.float32)})["logits"].shape == (1, 3)


def test_the_default_is_the_devices(make_contract_bundle, monkeypatch):
    """The manifest's default for machines like this one is taken where it runs; a variant that is asked for goes before it."""
    root = make_contract_bundle("image")
    first = decode_manifest((root / MANIFEST).read_bytes()).variants[0]
    second = replace(first, id="onnx-other", files=(replace(first.files[0], path="variants/onnx-other/model.onnx"),))
    (root / "variants/onnx-other").mkdir()
    (root / "variants/onnx-other/model.onnx").write_bytes((root / first.files[0].path).read_bytes())
    monkeypatch.setattr("edgekit.loading.find_target", lambda _: "somewhere")
    change_manifest(root, variants=(first, second), defaults={"somewhere": Choice(variant="onnx-other", reason="it is")})
    with edgekit.load(root) as model, edgekit.load(root, variant="onnx-fp32") as asked:
        assert (model.variant.id, asked.variant.id) == ("onnx-other", "onnx-fp32")
    with pytest.raises(UnknownName, match="onnx-int8"):
        edgekit.load(root, variant="onnx-int8")


def test_only_what_is_used_must_be_here(make_contract_bundle):
    """As on a device that fetched one variant: another's missing file is no obstacle, and a changed byte of its own is."""
    root = make_contract_bundle("image")
    first = decode_manifest((root / MANIFEST).read_bytes()).variants[0]
    absent = replace(first, id="openvino-fp32", format="openvino", files=(replace(first.files[0], path="variants/openvino-fp32/model.xml"),))
    change_manifest(root, variants=(first, absent))
    edgekit.load(root, variant="onnx-fp32").close()
    path = root / first.files[0].path
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(DigestMismatch):
        edgekit.load(root, variant="onnx-fp32")


@pytest.mark.parametrize(("fields", "problem"), [({"accelerator": "nvidia"}, "made for nvidia"), ({"format": "tflite"}, r"edgekit\[litert\]")])
def test_what_nothing_here_loads_is_refused(make_contract_bundle, monkeypatch, fields, problem):
    """A bundle for accelerators alone, or without a runtime here, says what to make or to install."""
    root = make_contract_bundle("image")
    variant = replace(decode_manifest((root / MANIFEST).read_bytes()).variants[0], **fields)
    change_manifest(root, variants=(variant,))
    monkeypatch.setattr("edgekit.loading.find_runtimes", lambda: {"onnxruntime": OnnxRuntime()})
    for wanted in (None, variant.id):
        with pytest.raises(DeviceError, match=problem):
            edgekit.load(root, variant=wanted)


def test_threads_may_share_a_model(make_contract_bundle, kits):
    """Four threads that ask for different pictures at once get each its own answer."""
    items = kits("image").items
    with edgekit.load(make_contract_bundle("image")) as model:
        expected = [model(item).labels for item in items]
        found: list[list[object]] = [[] for _ in range(4)]

        def work(place: int) -> None:
            found[place] = [model(item).labels for item in items for _ in range(5)]

        threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert all(mine == [labels for labels in expected for _ in range(5)] for mine in found)


def test_what_was_closed_answers_no_more(make_contract_bundle, kits):
    """After the block the memory is given back, and a call says so."""
    with edgekit.load(make_contract_bundle("image")) as model:
        assert isinstance(model, Model)
    with pytest.raises(DeviceError, match="closed"):
        model(kits("image").items[0])
