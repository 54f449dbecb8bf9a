"""Libraries that a device need not have: what is missing is named with the extra that brings it."""

import pytest

from edgekit.errors import DeviceError
from edgekit.processing.libraries import load_library


def test_what_is_installed_is_imported():
    """The module itself comes back."""
    assert load_library("json", "text").loads("[1]") == [1]


def test_what_is_missing_names_its_extra():
    """A device without a library is told which extra installs it."""
    with pytest.raises(DeviceError, match=r"library 'no_such_library'.*pip install 'edgekit\[audio\]'"):
        load_library("no_such_library", "audio")


def test_what_lacks_its_own_library_is_missing(tmp_path, monkeypatch):
    """A package whose library in C is not there raises OSError when it is imported, and is missing too."""
    (tmp_path / "lacking_its_library.py").write_text("raise OSError('libsndfile.so: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeviceError, match=r"cannot be imported: libsndfile\.so"):
        load_library("lacking_its_library", "audio")
