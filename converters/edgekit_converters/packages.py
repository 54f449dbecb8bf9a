"""Which packages a target needs, and whether they are here."""

from importlib.metadata import version

from edgekit.runtimes.packages import find_package_version


def find_missing(*packages: str) -> str | None:
    """A sentence that names those of *packages*, as pip calls them, that are not installed; None where all are."""
    missing = [package for package in packages if find_package_version(package) is None]
    if not missing:
        return None
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed here. Run: pip install 'edgekit[convert]'."


def list_versions(*packages: str) -> dict[str, str]:
    """The installed version of each of *packages*."""
    return {package: version(package) for package in packages}
