"""What a manifest accepts, and what it says when it does not."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from edgekit.artifacts import FileEntry
from edgekit.errors import InputError, SchemaTooNew, UnknownName
from edgekit.manifest import SCHEMA, Lineage, Manifest, Parity, Tolerance, Variant, decode_manifest, manifest_schema
from edgekit.tensors import Binding, TensorSpec

DIGEST = "sha256:" + "0" * 64
IMAGE = TensorSpec(name="image", dtype="float32", shape=("batch", 1, 8, 8))
LOGITS = TensorSpec(name="logits", dtype="float32", shape=("batch", 10))


def make_variant(variant_id: str) -> Variant:
    return Variant(
        id=variant_id,
        format="onnx",
        precision="fp32",
        files=(FileEntry(path=f"variants/{variant_id}/model.onnx", digest=DIGEST, length=1),),
        inputs=(Binding(name="image", native=IMAGE),),
        outputs=(Binding(name="logits", native=LOGITS),),
        parity=Parity(max_abs=0.0, mean_abs=0.0, n=32),
        tolerance=Tolerance(max_abs=0.1, mean_abs=0.1),
    )


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        name="digits",
        inputs=(IMAGE,),
        outputs=(LOGITS,),
        golden=FileEntry(path="golden.npz", digest=DIGEST, length=1),
        golden_origin="synthetic",
        variants=(make_variant("onnx-fp32"),),
        lineage=Lineage(source="digits.onnx", source_format="onnx", source_digest=DIGEST, source_size=1),
    )


def changed(manifest: Manifest, **fields: object) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(manifest.encode()) | fields)


def test_newer_schema_is_refused_before_its_fields(manifest: Manifest) -> None:
    """A newer schema is named as such, even when the other fields mean something else."""
    with pytest.raises(SchemaTooNew, match=f"schema {SCHEMA + 1}.*pip install"):
        decode_manifest(msgspec.json.encode({"schema": SCHEMA + 1, "variants": "elsewhere"}))


def test_default_must_be_a_variant(manifest: Manifest) -> None:
    """A default that no variant bears is refused."""
    with pytest.raises(InputError, match="onnx-int8"):
        decode_manifest(changed(manifest, defaults={"x86-64": {"variant": "onnx-int8", "reason": ""}}))


def test_variant_must_bind_each_tensor(manifest: Manifest) -> None:
    """A variant that does not bind the model's inputs and outputs by name is refused."""
    variant = msgspec.json.decode(make_variant("onnx-fp32").encode())
    variant["inputs"][0]["name"] = "picture"
    with pytest.raises(InputError, match="picture"):
        decode_manifest(changed(manifest, variants=[variant]))


def test_a_file_belongs_to_one_variant(manifest: Manifest) -> None:
    """Two variants cannot name the same file, nor bear the same id."""
    twice = [msgspec.json.decode(make_variant("onnx-fp32").encode())] * 2
    with pytest.raises(InputError, match="onnx-fp32"):
        decode_manifest(changed(manifest, variants=twice))


def test_find_variant(manifest: Manifest) -> None:
    """A variant is found by its id, and an unknown id is answered with the known ones."""
    assert manifest.find_variant("onnx-fp32") is manifest.variants[0]
    with pytest.raises(UnknownName, match=r"Known here: onnx-fp32"):
        manifest.find_variant("onnx-int4")


def test_schema_describes_what_is_written(manifest: Manifest) -> None:
    """The generated JSON Schema accepts a written manifest and refuses one without variants."""
    schema = manifest_schema()
    jsonschema.validate(json.loads(manifest.encode()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(changed(manifest, variants=[])), schema)


def test_committed_schema_is_current() -> None:
    """The JSON Schema in the documentation is the one that the records generate."""
    committed = Path(__file__).parents[2] / "docs" / "reference" / "manifest.schema.json"
    assert json.loads(committed.read_text()) == json.loads(json.dumps(manifest_schema()))
