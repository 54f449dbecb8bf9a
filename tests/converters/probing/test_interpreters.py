"""What another Python has installed."""

import sys
from importlib.metadata import version

import pytest

from edgekit.errors import DeviceError
from edgekit_converters.probing.interpreters import find_version_in


def test_a_packages_version_is_found_by_asking() -> None:
    """The interpreter itself is asked."""
    assert find_version_in(sys.executable, "numpy") == version("numpy")


def test_a_package_that_is_not_there_is_named() -> None:
    """With the way to install it."""
    with pytest.raises(DeviceError, match="no no-such-package"):
        find_version_in(sys.executable, "no-such-package")
