"""``edgekit report``: the page that shows what a bundle's variants save and what they cost."""

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it; in the bundle itself by default.")
def report(bundle: Path, output: Path | None) -> None:
    """Write the report of BUNDLE as one HTML page that needs no network.

    Example: edgekit report digits-bundle -o digits.html
    """
    from edgekit.bundles import open_bundle
    from edgekit.report import REPORT, write_report

    path = output or bundle / REPORT
    write_report(open_bundle(bundle).manifest, path)
    click.echo(str(path))
