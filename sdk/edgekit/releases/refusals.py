"""What python-tuf refuses, in edgekit's words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)

from edgekit.errors import EdgekitError, MetadataExpired, TransferError, TrustError

_NOTHING_USED = "Nothing was used of it. Fetch from a source that you trust, and ask its publisher."

# The first row that fits says what happened, so the narrower stand above the wider.
# fmt: off
_REFUSALS: tuple[tuple[type[Exception], type[EdgekitError], str], ...] = (
    (UnsignedMetadataError,       TrustError,    "its metadata is not signed by the keys that are trusted here"),
    (BadVersionNumberError,       TrustError,    "its metadata is older than what was seen before, or of different times (a rollback or a mixture)"),
    (LengthOrHashMismatchError,   TrustError,    "its bytes are not those that were signed for"),
    (RepositoryError,             TrustError,    "its metadata is damaged"),
    (DownloadLengthMismatchError, TrustError,    "it sends more than it may (endless data)"),
    (DownloadError,               TransferError, "it could not be fetched"),
)
# fmt: on


@contextmanager
def naming_refusals(subject: str, find_expiry: Callable[[], str]) -> Iterator[None]:
    """Turn what python-tuf raises in the block into an edgekit error that names *subject*.

    *find_expiry* is asked, when metadata has expired, for the role and since when.
    """
    try:
        yield
    except ExpiredMetadataError as error:
        raise MetadataExpired(
            subject,
            f"{find_expiry()}, so a newer release may have been held back",
            "Its publisher renews it with edgekit release refresh. If it should still be good, check the clock of this machine.",
        ) from error
    except (RepositoryError, DownloadError) as error:
        # The adapter that fetches tells python-tuf about missing files in its own class; what was behind says more.
        if isinstance(error.__cause__, EdgekitError):
            raise error.__cause__ from error
        raise _translate(subject, error) from error


def _translate(subject: str, error: Exception) -> EdgekitError:
    kind, problem = next((kind, problem) for raised, kind, problem in _REFUSALS if isinstance(error, raised))
    return kind(subject, f"{problem}: {error}", _NOTHING_USED if kind is TrustError else "Check the network and try again.")
