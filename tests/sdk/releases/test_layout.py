"""Where the files of a repository lie."""

import pytest

from edgekit.releases.layout import name_target, read_target
from edgekit.releases.versions import ReleaseReference


def test_a_target_names_its_release():
    """The TUF target of a release leads back to it."""
    reference = ReleaseReference(name="digits", version="1.0.0-rc.1")
    assert name_target(reference) == "digits/1.0.0-rc.1/manifest.json"
    assert read_target(name_target(reference)) == reference


@pytest.mark.parametrize(
    "path",
    ["", "manifest.json", "digits/1.0.0", "digits/1.0/manifest.json", "a/b/1.0.0/manifest.json", "director/key.json", "../1.0.0/manifest.json"],
)
def test_other_targets_are_no_releases(path):
    """A target of another kind is passed over, not refused: a repository may hold more than releases."""
    assert read_target(path) is None
