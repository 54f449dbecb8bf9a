"""How releases are named and ordered."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from edgekit.errors import InputError
from edgekit.records import Digest, Length, Name, Record

# Semantic Versioning 2.0.0, sections 2 and 9. There is no build metadata (section 10): two versions that differ in
# nothing else have the same precedence, and a release must be newer or older than another. Two dots in a row, which
# could climb out of a directory, cannot be written.
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"

VersionText = Annotated[str, Meta(pattern=rf"^{_VERSION}\Z", max_length=64, description="Semantic version: x.y.z, with an optional pre-release")]


class ReleaseReference(Record, frozen=True, kw_only=True):
    """The name and version of one release, written ``digits@1.0.0``."""

    name: Name
    version: VersionText

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Release(Record, frozen=True, kw_only=True):
    """One release of a repository: its name and version, and the digest and length of its manifest."""

    name: Name
    version: VersionText
    digest: Digest
    length: Length

    @property
    def reference(self) -> ReleaseReference:
        """Its name and version."""
        return ReleaseReference(name=self.name, version=self.version)


def parse_reference(text: str) -> ReleaseReference:
    """The reference that *text* writes as ``name@version``; InputError where it does not."""
    name, _, version = text.partition("@")
    return make_reference(name, version, text)


def make_reference(name: str, version: str, subject: str) -> ReleaseReference:
    """A reference of checked parts; InputError names *subject*."""
    try:
        return msgspec.convert({"name": name, "version": version}, ReleaseReference)
    except msgspec.ValidationError as error:
        # The error shows the whole expression that a version must match, which helps nobody to write one.
        raise InputError(
            subject, "it does not name a release and its version", "Write it as name@x.y.z, for example digits@1.0.0 or digits@1.1.0-rc.1."
        ) from error


def check_version(text: str) -> str:
    """*text*, where it is a version; InputError otherwise."""
    if len(text) > 64 or re.fullmatch(_VERSION, text) is None:
        raise InputError(
            f"version {text!r}", "it is not a semantic version", "Write it as x.y.z, with an optional pre-release: 1.0.0, 1.1.0-rc.1 (semver.org)."
        )
    return text


def precedence(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
    """A key that sorts versions from old to new (Semantic Versioning 2.0.0, section 11)."""
    numbers, _, prerelease = check_version(version).partition("-")
    ranks = tuple(map(_rank, prerelease.split("."))) if prerelease else ()
    # A version without a pre-release comes after all of its pre-releases.
    return tuple(map(int, numbers.split("."))), not prerelease, ranks


def _rank(identifier: str) -> tuple[bool, int, str]:
    """Numbers compare as numbers and come before words."""
    return (False, int(identifier), "") if identifier.isdigit() else (True, 0, identifier)
