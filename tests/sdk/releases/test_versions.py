"""Names and versions of releases."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.releases.versions import Release, ReleaseReference, check_version, parse_reference, precedence

# Semantic Versioning 2.0.0, section 11, its own example, and more.
ASCENDING = [
    "0.0.0", "0.9.9", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0--",  "2.0.0",
]  # fmt: skip


def test_versions_sort_from_old_to_new():
    """The order is that of the specification, whichever order they come in."""
    shuffled = random.Random(0).sample(ASCENDING, len(ASCENDING))
    assert sorted(shuffled, key=precedence) == ASCENDING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0-a..b",
        "1.0.0+build",
        "1.0.0 ",
        "1.0.0\n",
        "1.0.0-ä",
        "1.0.0-" + "a" * 64,
    ],
)
def test_what_is_no_version_is_refused(text):
    """Anything but x.y.z with an optional pre-release is refused, with an example of one."""
    with pytest.raises(InputError, match=r"1\.1\.0-rc\.1"):
        check_version(text)


@pytest.mark.parametrize("version", ASCENDING)
def test_a_reference_reads_what_it_writes(version):
    """A name and a version written as name@version are read back."""
    reference = ReleaseReference(name="digits", version=version)
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    "text", ["", "digits", "digits@", "@1.0.0", "digits@1.0", "../x@1.0.0", "a/b@1.0.0", "digits@1.0.0/..", "digits@1.0.0@1.0.0"]
)
def test_what_is_no_reference_is_refused(text):
    """A reference that could lead elsewhere or means nothing is refused, and the message shows how to write one."""
    with pytest.raises(InputError, match=r"digits@1\.0\.0"):
        parse_reference(text)


@given(st.text(max_size=20))
def test_no_version_leads_out_of_its_directory(text):
    """Whatever text is taken for a version is one segment of a path and of an address."""
    try:
        version = check_version(text)
    except InputError:
        return
    assert not set(version) & set("/\\%?#") and ".." not in version


def test_a_release_is_read_back():
    """A release's record survives JSON."""
    release = Release(name="digits", version="1.0.0", digest="sha256:" + "0" * 64, length=5)
    assert Release.decode(release.encode()) == release
    assert str(release.reference) == "digits@1.0.0"


@pytest.mark.parametrize("text", ["digits", "digits@1.0", "@1.0.0", "di gits@1.0.0", "digits@"])
def test_what_is_no_reference_is_refused_in_words(text):
    """A reference without a name or a whole version is refused with an example, and without the pattern that it misses."""
    with pytest.raises(InputError, match=r"does not name a release and its version\. Write it as name@x\.y\.z") as refusal:
        parse_reference(text)
    assert "regex" not in str(refusal.value)
