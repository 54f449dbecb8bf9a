"""``edgekit release``: bundles become signed releases in a repository that any HTTP server can serve."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgekit.releases.publishing import Publication
    from edgekit.releases.versions import Release

_KEYS = click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory with the keys. Without it: the environment's EDGEKIT_KEYS, else where edgekit keys new makes them.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ROOT = click.option(
    "--trust-root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The publisher's metadata/1.root.json. Without it, the repository's own root is believed, and said.",
)


@click.group(short_help="Publish signed releases, and list and show them.")
def release() -> None:
    """Publish signed releases, and list and show them.

    A repository is a directory of plain files (The Update Framework, TUF). Serve it with any HTTP server, or carry it on
    a disk: devices trust the signatures, never the way on which the files came.
    """


@release.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--version", required=True, help="The version: x.y.z, with an optional pre-release as in 1.1.0-rc.1.")
@click.option("--to", "repository", type=click.Path(path_type=Path), required=True, help="The repository; a new or empty directory becomes one.")
@_KEYS
@_JSON
def publish(bundle: Path, version: str, repository: Path, keys: Path | None, *, as_json: bool) -> None:
    """Publish BUNDLE as a signed release.

    A release never changes: the same version with other bytes is refused, and with the same bytes nothing happens.

    Example: edgekit release publish digits-bundle --version 1.0.0 --to releases
    """
    from datetime import datetime, timezone

    from edgekit.bundles import open_bundle
    from edgekit.cli.console import print_json
    from edgekit.releases.publishing import publish_release
    from edgekit.releases.versions import check_version
    from edgekit.signing import find_default_keys

    check_version(version)
    done = publish_release(open_bundle(bundle), version, repository, keys or find_default_keys(), datetime.now(timezone.utc))
    if as_json:
        print_json({**_to_dict(done.release), "repository": str(repository), "new": done.is_new, "root": done.root, "expires": done.expires})
    else:
        _print_publication(done, repository)


@release.command("list")
@click.argument("repository")
@_ROOT
@_JSON
def list_all(repository: str, trust_root: Path | None, *, as_json: bool) -> None:
    """List the releases of REPOSITORY, a directory or an address.

    Example: edgekit release list https://releases.example.org/
    """
    from edgekit.cli.console import print_json, print_table
    from edgekit.releases.client import visiting

    with visiting(repository, _read_root(trust_root)) as (client, root):
        releases = client.list_releases()
    if as_json:
        print_json({"repository": repository, "root": root, "releases": [_to_dict(one) for one in releases]})
        return
    _say_root(root, trust_root)
    print_table(("release", "manifest"), [(str(one.reference), one.digest) for one in releases])


@release.command()
@click.argument("repository")
@click.argument("reference")
@_ROOT
@_JSON
def show(repository: str, reference: str, trust_root: Path | None, *, as_json: bool) -> None:
    """Show one release of REPOSITORY and its variants. REFERENCE is its name and version.

    Example: edgekit release show releases digits@1.0.0
    """
    from edgekit.cli.console import print_json, print_table
    from edgekit.cli.variants import explain_default, print_variants, to_dict
    from edgekit.hardware import describe_hardware
    from edgekit.releases.client import visiting
    from edgekit.releases.versions import parse_reference
    from edgekit.targets import find_target

    wanted = parse_reference(reference)
    with visiting(repository, _read_root(trust_root)) as (client, root):
        found, manifest = client.find_release(wanted), client.read_manifest(wanted)
    target = find_target(describe_hardware())
    if as_json:
        print_json({**_to_dict(found), "root": root, "manifest": to_dict(manifest, target)})
        return
    _say_root(root, trust_root)
    print_table(("release", str(wanted)), [("manifest", found.digest), ("source", f"{manifest.lineage.source}, {manifest.lineage.source_digest}")])
    print_variants(manifest, target)
    click.echo(explain_default(manifest, target))


@release.command()
@click.argument("repository", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_KEYS
@_JSON
def refresh(repository: Path, keys: Path | None, *, as_json: bool) -> None:
    """Sign anew what nears its expiry in REPOSITORY.

    Devices refuse metadata that has expired, since somebody may be holding back a newer release. Run this once a day;
    it does nothing while more than half of each lifetime is left.

    Example: edgekit release refresh releases
    """
    from datetime import datetime, timezone

    from edgekit.cli.console import print_json, print_table, say
    from edgekit.releases.publishing import refresh_repository
    from edgekit.signing import find_default_keys

    done = refresh_repository(repository, keys or find_default_keys(), datetime.now(timezone.utc))
    if as_json:
        print_json({"repository": str(repository), **{field: getattr(done, field) for field in done.__struct_fields__}})
        return
    print_table(("role", "good until", "signed anew"), [(role, until, "yes" if role in done.renewed else "") for role, until in done.expires.items()])
    for role in done.waiting:
        say(f"The metadata of {role} nears its expiry, and its key is not here: run this where it is.")


def _print_publication(done: "Publication", repository: Path) -> None:
    from edgekit.cli.console import say

    reference = done.release.reference
    click.echo(
        f"{reference} is published in {repository}."
        if done.is_new
        else f"{reference} was in {repository} already, with the same bytes: nothing to do."
    )
    click.echo(f"manifest  {done.release.digest}\nroot      {done.root}")
    click.echo(f"Devices accept it until {min(done.expires.values())}; edgekit release refresh {repository} prolongs that.")
    say(f"Next: edgekit-agent install --from {repository} {reference}. Other machines are given {repository}/metadata/1.root.json.")


def _say_root(root: str, given: Path | None) -> None:
    from edgekit.cli.console import say

    if given is None:
        say(f"Believing the repository's own root, {root}: give --trust-root to be sure who signed.")


def _read_root(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _to_dict(release: "Release") -> dict[str, object]:
    return {"release": str(release.reference), "name": release.name, "version": release.version, "digest": release.digest}
