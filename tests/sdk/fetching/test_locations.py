"""What users name as a source."""

import pytest

from edgekit.errors import InputError
from edgekit.fetching.directory import DirectoryFetcher
from edgekit.fetching.http_fetcher import HttpFetcher
from edgekit.fetching.locations import choose_fetcher, find_base_url, find_directory


def test_a_directory_becomes_an_address(tmp_path):
    """A path and its file: address name the same source, and characters with a meaning in addresses are escaped."""
    place = tmp_path / "a b#c"
    place.mkdir()
    assert find_base_url(str(place)) == place.as_uri() + "/"
    assert find_base_url(place.as_uri()) == place.as_uri() + "/"
    assert find_directory(place.as_uri()) == place


@pytest.mark.parametrize("address", ["http://host/path", "https://host:8443/path/"])
def test_an_http_address_is_kept(address):
    """An address of a server stays as it is and ends in one slash."""
    assert find_base_url(address) == address.rstrip("/") + "/"
    assert find_directory(address) is None


@pytest.mark.parametrize("location", ["ftp://host/", "http://", "http://host/?a=b", "http://host/#part", "http://[", "/no/such/directory"])
def test_what_is_no_source_is_refused(location):
    """Anything else is refused before it is fetched from."""
    with pytest.raises(InputError):
        find_base_url(location)


def test_the_adapter_follows_from_the_location(tmp_path):
    """Directories are read as files and servers over HTTP."""
    assert isinstance(choose_fetcher(str(tmp_path)), DirectoryFetcher)
    assert isinstance(choose_fetcher(tmp_path.as_uri()), DirectoryFetcher)
    assert isinstance(choose_fetcher("https://host/"), HttpFetcher)
