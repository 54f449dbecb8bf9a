"""A directory as a source: nothing outside it, whatever is asked."""

import os

import pytest

from edgekit.errors import SourceMissing, TrustError
from edgekit.fetching.directory import DirectoryFetcher


@pytest.fixture
def root(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def read(root, url):
    with DirectoryFetcher(root).fetch(url, 0, 100) as pieces:
        return b"".join(pieces)


@pytest.mark.parametrize("climb", ["../secret", "%2e%2e/secret", "..%2Fsecret", "x/../../secret"])
def test_a_path_cannot_climb_out(root, climb):
    """No spelling of '..' leads out of the directory."""
    with pytest.raises(TrustError, match="leads out"):
        read(root, f"{root.as_uri()}/{climb}")


def test_a_link_cannot_lead_out(root):
    """A symbolic link to a file outside is refused."""
    (root / "link").symlink_to("../secret")
    with pytest.raises(TrustError, match="leads out"):
        read(root, f"{root.as_uri()}/link")


def test_a_link_inside_is_followed(root):
    """A symbolic link that stays inside is as good as the file."""
    (root / "file").write_bytes(b"bytes")
    (root / "link").symlink_to("file")
    assert read(root, f"{root.as_uri()}/link") == b"bytes"


def test_the_directory_may_be_a_link_itself(root, tmp_path):
    """A repository that is reached through a link is not taken for one outside itself."""
    (root / "file").write_bytes(b"bytes")
    (tmp_path / "alias").symlink_to(root)
    assert read(tmp_path / "alias", f"{(tmp_path / 'alias').as_uri()}/file") == b"bytes"


def test_a_pipe_is_no_file(root):
    """A named pipe, which would be waited for without end, is not opened; nor is a directory."""
    os.mkfifo(root / "pipe")
    with pytest.raises(SourceMissing):
        read(root, f"{root.as_uri()}/pipe")
    with pytest.raises(SourceMissing):
        read(root, f"{root.as_uri()}/")
