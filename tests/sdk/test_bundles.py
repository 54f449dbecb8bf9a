"""A bundle opens only when every byte is what its manifest says."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgekit.artifacts import FileEntry
from edgekit.bundles import MANIFEST, open_bundle
from edgekit.errors import DigestMismatch, InputError, SchemaTooNew, TrustError
from edgekit.files import digest_bytes
from edgekit.golden import GoldenSamples
from edgekit.manifest import Lineage, Manifest, Parity, Tolerance, Variant
from edgekit.tensors import Binding, TensorSpec

SPEC = TensorSpec(name="x", dtype="float32", shape=("n", 2))


def write(root: Path, path: str, data: bytes) -> FileEntry:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)
    return FileEntry(path=path, digest=digest_bytes(data), length=len(data))


def make_variant(root: Path, variant_id: str) -> Variant:
    return Variant(
        id=variant_id,
        format="onnx",
        precision="fp32",
        files=(write(root, f"variants/{variant_id}/model.onnx", variant_id.encode() * 100),),
        inputs=(Binding(name="x", native=SPEC),),
        outputs=(Binding(name="x", native=SPEC),),
        parity=Parity(max_abs=0.0, mean_abs=0.0, n=32),
        tolerance=Tolerance(max_abs=0.1, mean_abs=0.1),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bundle of two variants."""
    golden = GoldenSamples({"x": np.ones((32, 2), np.float32)}, {"x": np.ones((32, 2), np.float32)})
    manifest = Manifest(
        name="digits",
        inputs=(SPEC,),
        outputs=(SPEC,),
        golden=write(tmp_path, "golden.npz", golden.encode()),
        golden_origin="synthetic",
        variants=(make_variant(tmp_path, "one"), make_variant(tmp_path, "two")),
        lineage=Lineage(source="m.onnx", source_format="onnx", source_digest=digest_bytes(b""), source_size=0),
    )
    (tmp_path / MANIFEST).write_bytes(manifest.encode())
    return tmp_path


def flip(path: Path, index: int) -> None:
    data = bytearray(path.read_bytes())
    data[index] ^= 1
    path.write_bytes(data)


def test_whole_bundle_opens(root: Path) -> None:
    """An unharmed bundle opens, and gives its variants, their paths and its golden samples."""
    bundle = open_bundle(root)
    assert [variant.id for variant in bundle.variants] == ["one", "two"]
    assert bundle.path_of(bundle.variants[0]) == root / "variants/one/model.onnx"
    assert bundle.read_golden().n == 32


@pytest.mark.parametrize("path", ["golden.npz", "variants/one/model.onnx", "variants/two/model.onnx"])
@pytest.mark.parametrize("index", [0, 57, -1])
def test_one_flipped_byte_is_a_trust_error(root: Path, path: str, index: int) -> None:
    """One bit, in any file, at its start, its middle or its end, keeps the bundle from opening, and the file is named."""
    flip(root / path, index)
    with pytest.raises(TrustError, match=path):
        open_bundle(root)


def test_longer_and_shorter_files_are_trust_errors(root: Path) -> None:
    """A file with bytes added or cut is refused."""
    for data in (b"one" * 101, b"one" * 99, b""):
        (root / "variants/one/model.onnx").write_bytes(data)
        with pytest.raises(DigestMismatch, match="bytes"):
            open_bundle(root)


def test_manifest_is_held_against_the_signed_digest(root: Path) -> None:
    """Where a signature says what the manifest's digest is, any other manifest is refused before it is read."""
    digest = digest_bytes((root / MANIFEST).read_bytes())
    assert open_bundle(root, digest=digest).digest == digest
    (root / MANIFEST).write_bytes(b"{}")
    with pytest.raises(DigestMismatch, match=MANIFEST):
        open_bundle(root, digest=digest)


def test_a_device_needs_only_its_variant(root: Path) -> None:
    """With one variant asked for, the other's files may be absent; without, they may not."""
    (root / "variants/two/model.onnx").unlink()
    assert [variant.id for variant in open_bundle(root, variants=("one",)).variants] == ["one"]
    with pytest.raises(InputError, match="variants/two"):
        open_bundle(root)


def test_newer_schema_is_said(root: Path) -> None:
    """A manifest of a newer schema asks for a newer edgekit."""
    (root / MANIFEST).write_bytes(msgspec.json.encode({"schema": 99}))
    with pytest.raises(SchemaTooNew, match=r"manifest\.json.*99"):
        open_bundle(root)


@pytest.mark.parametrize("data", [None, b"", b"{", b"[1]", b"\x00" * (5 << 20)])
def test_what_is_no_bundle_is_an_input_error(root: Path, data: bytes | None) -> None:
    """A directory without a manifest, or with rubbish in its place, is refused with what to do."""
    (root / MANIFEST).unlink()
    if data is not None:
        (root / MANIFEST).write_bytes(data)
    with pytest.raises(InputError, match="edgekit convert"):
        open_bundle(root)


def test_golden_samples_changed_after_opening_are_refused(root: Path) -> None:
    """Golden samples are held against their digest again when they are read."""
    bundle = open_bundle(root)
    flip(root / "golden.npz", 100)
    with pytest.raises(DigestMismatch):
        bundle.read_golden()


def test_a_pipe_for_a_manifest_is_refused_at_once(tmp_path: Path) -> None:
    """Nobody waits for the other end of a pipe."""
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(InputError, match=r"manifest\.json: it is a pipe"):
        open_bundle(tmp_path)
