"""Packages that a target needs."""

import numpy as np

from edgekit_converters.packages import find_missing, list_versions


def test_missing_packages_are_named_with_the_command() -> None:
    """Each package that is missing is named, and the command that installs them."""
    assert find_missing("numpy", "not-there", "nor-this") == "not-there and nor-this are not installed here. Run: pip install 'edgekit[convert]'."


def test_nothing_is_said_where_all_is_here() -> None:
    """Where every package is installed there is nothing to say."""
    assert find_missing("numpy", "msgspec") is None


def test_versions_are_those_installed() -> None:
    """The versions listed are the installed ones."""
    assert list_versions("numpy") == {"numpy": np.__version__}
