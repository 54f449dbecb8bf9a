"""``edgekit report``: the page that shows what a bundle's variants save and what they cost."""

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write it; in the bundle itself by default.")
@click.option("--card", is_flag=True, help="Write the model card, MODEL_CARD.md, instead.")
def report(bundle: Path, output: Path | None, *, card: bool) -> None:
    """Write the report of BUNDLE as one HTML page that needs no network, or its model card.

    \b
    Examples:
      edgekit report digits-bundle -o digits.html
      edgekit report digits-bundle --card
    """  # noqa: D301 - click wants the character itself
    from edgekit.bundles import open_bundle
    from edgekit.model_card import CARD, write_card
    from edgekit.report import REPORT, write_report

    name, write = (CARD, write_card) if card else (REPORT, write_report)
    path = output or bundle / name
    write(open_bundle(bundle).manifest, path)
    click.echo(str(path))
