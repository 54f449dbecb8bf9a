"""Files of an artifact as its record names them."""

from edgekit.files import digest_bytes
from edgekit_converters.artifact_files import describe_files


def test_files_are_described_in_order_with_digest_and_length(tmp_path) -> None:
    """Each entry has the path relative to the directory, the digest of the bytes and their number."""
    (tmp_path / "b").write_bytes(b"second")
    (tmp_path / "a").write_bytes(b"")
    entries = describe_files(tmp_path, "b", "a")
    assert [(one.path, one.digest, one.length) for one in entries] == [("b", digest_bytes(b"second"), 6), ("a", digest_bytes(b""), 0)]
