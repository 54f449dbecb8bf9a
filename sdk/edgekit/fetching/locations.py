"""What a user names as a source: a directory, or a ``file:``, ``http:`` or ``https:`` address."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from edgekit.errors import InputError
from edgekit.fetching.base import Fetcher
from edgekit.fetching.directory import DirectoryFetcher
from edgekit.fetching.pace import Patience

_HTTP = ("http", "https")
_REMEDY = "Give a directory, or an address such as https://host/path, without ? and #."


def find_base_url(location: str) -> str:
    """The address of *location*, ending in a slash, so that names can be put behind it.

    Raises:
        InputError: it is neither a directory that exists nor an address of a known kind.
    """
    directory = find_directory(location)
    if directory is None:
        return _check_address(location).rstrip("/") + "/"
    if not directory.is_dir():
        raise InputError(location, "there is no such directory", "Check the path, or make a repository there with edgekit release publish.")
    return directory.resolve().as_uri() + "/"


def find_directory(location: str) -> Path | None:
    """The directory that *location* names, there or not; None where it is an address of another machine."""
    if location.startswith("file:"):
        return Path(unquote(urlsplit(location).path))
    return None if "://" in location else Path(location)


def choose_fetcher(location: str, patience: Patience | None = None) -> Fetcher:
    """The adapter for *location*, with so much *patience* over a network; HTTP is loaded only where it is needed."""
    directory = find_directory(location)
    if directory is not None:
        return DirectoryFetcher(directory)
    from edgekit.fetching.http_fetcher import HttpFetcher

    return HttpFetcher(patience)


def _check_address(location: str) -> str:
    try:
        parts = urlsplit(location)
        usable = parts.scheme in _HTTP and parts.hostname and not parts.query and not parts.fragment
    except ValueError as error:
        raise InputError(location, f"it is not an address: {error}", _REMEDY) from error
    if not usable:
        raise InputError(location, "it is not the address of a directory on an HTTP server", _REMEDY)
    return location
