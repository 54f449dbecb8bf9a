"""``edgekit data``: what a set of data has, before anything is calibrated or measured by it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.completing import complete_kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.bundles import VerifiedBundle
    from edgekit.contract import Processing
    from edgekit.datasets.base import Dataset
    from edgekit.datasets.checking import DataCheck
    from edgekit.datasets.surveying import Survey
    from edgekit.processing.base import Pipeline

#: So many faults, duplicates and classes stand in a table; --json has them all.
_SHOWN = 40


@click.group(short_help="Look at data before anything is calibrated or measured by it.")
def data() -> None:
    """Look at data before anything is calibrated or measured by it.

    Data may be an .npz, a folder with a folder for each class, a COCO .json, a YOLO data.yaml, pictures with masks, a CSV that
    names files, CSVs of figures or texts, or a plain folder of pictures or sounds.
    """


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--against", type=click.Path(path_type=Path), help="Other data, as those for evaluation: what is in both is named.")
@click.option("--processing", type=click.Path(path_type=Path), help="The contract by which data are read (TOML or JSON): labels, columns, windows.")
@click.option("--bundle", type=click.Path(path_type=Path), help="A bundle: its contract, and what its model would be fed with.")
@click.option(
    "--kind",
    metavar="KIND",
    shell_complete=complete_kinds,
    help="What PATH is, where it is not seen: npz, class-folders, files, coco, yolo, masks, listing, csv-windows, csv-texts.",
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Look at N samples alone, of each class as many as its share.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which ones.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet (PNG): classes in rows, boxes drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(  # noqa: PLR0913 - one argument for each option
    path: Path,
    against: Path | None,
    *,
    processing: Path | None,
    bundle: Path | None,
    kind: str | None,
    samples: int | None,
    seed: int,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Say what the data at PATH have: counts, sizes, ranges, classes, what is damaged, and what is there twice.

    A part of a set stands behind its path, as in data.yaml#val. Samples that are damaged are named, and so are those that are
    there twice: pictures also where they only look the same. The exit code is 2 where the data cannot be used: no set of data, or
    more than one sample in twenty damaged.

    Example: edgekit data check photos/train --against photos/test --sheet sheet.png
    """
    from edgekit.cli.console import print_json, progress
    from edgekit.datasets.checking import check_data
    from edgekit.datasets.registry import open_dataset
    from edgekit.datasets.surveying import survey_dataset

    if processing is not None and bundle is not None:
        raise click.UsageError("Give --processing or --bundle, since a bundle has its contract.", click.get_current_context())
    opened = _open_bundle(bundle)
    contract = _find_contract(processing, opened)
    with progress() as show:
        survey = survey_dataset(*_choose(open_dataset(path, kind=kind, contract=contract), samples, seed), show)
        other = None if against is None else survey_dataset(*_choose(open_dataset(against, contract=contract), None, seed), show)
        found = check_data(survey, other, _open_pipeline(opened), show)
    if sheet is not None:
        _write_sheet(survey, sheet)
    if as_json:
        print_json(found)
    else:
        _print_check(found)
    found.check()


def _open_bundle(root: Path | None) -> "VerifiedBundle | None":
    from edgekit.bundles import open_bundle

    return None if root is None else open_bundle(root)


def _find_contract(file: Path | None, bundle: "VerifiedBundle | None") -> "Processing | None":
    from edgekit.processing.presets import read_processing

    if bundle is not None:
        return bundle.manifest.processing
    return None if file is None else read_processing(file)


def _open_pipeline(bundle: "VerifiedBundle | None") -> "Pipeline | None":
    from edgekit.contract import Processing
    from edgekit.processing.pipeline import open_pipeline

    if bundle is None:
        return None
    manifest = bundle.manifest
    return open_pipeline(manifest.processing or Processing(), manifest.inputs, manifest.outputs, bundle.root)


def _choose(dataset: "Dataset", samples: int | None, seed: int) -> "tuple[Dataset, list[str]]":
    from edgekit.datasets.sampling import take_sample

    return dataset, take_sample(dataset, samples, seed)


def _write_sheet(survey: "Survey", path: Path) -> None:
    from edgekit.cli.console import say
    from edgekit.datasets.contact_sheet import choose_samples, draw_sheet
    from edgekit.files import write_file

    write_file(path, draw_sheet(survey.dataset, choose_samples(survey)))
    say(f"{path} shows some of them, by class.")


def _print_check(found: "DataCheck") -> None:
    from edgekit.cli.console import say
    from edgekit.quantities import UNKNOWN

    _print_plain(("data", found.path), _list_facts(found))
    _print_plain(("class", "name", found.counted), [(str(one.number), one.name, str(one.count)) for one in found.classes])
    figures = [(one, (one.low, one.mean, one.high, one.std)) for one in found.fed]
    fed = [(one.name, one.dtype, "x".join(map(str, one.shape)), *(UNKNOWN if f is None else f"{f:.4g}" for f in four)) for one, four in figures]
    _print_plain(("the model is fed", "dtype", "shape", "lowest", "mean", "highest", "deviation"), fed)
    _print_plain(("cannot be used", "why"), [(one.key, one.problem) for one in found.faults])
    for title, pairs in (("there twice", found.duplicates), (f"also in {found.against}", found.shared)):
        rows = [(pair.second, pair.first, pair.how, "yes" if pair.classes_differ else "no") for pair in pairs]
        _print_plain((title, "as", "how", "labelled unlike"), rows)
    for warning in found.warnings:
        say(_make_plain(f"warning: {warning}."))


def _print_plain(columns: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> None:
    """Print the first _SHOWN of *rows*, if there are any, and say how many more there are."""
    from edgekit.cli.console import print_table, say

    if rows:
        print_table(columns, [[_make_plain(cell) for cell in row] for row in rows[:_SHOWN]])
    if len(rows) > _SHOWN:
        say(f"{len(rows) - _SHOWN} more rows of {columns[0]!r} are in what --json prints.")


def _make_plain(text: str) -> str:
    """*text* without what could command a terminal: names of classes may come from anybody."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _list_facts(found: "DataCheck") -> list[tuple[str, str]]:
    spreads = [(name, _format_spread(one.low, one.median, one.high)) for name, one in found.figures.items()]
    forms = [(name, ", ".join(f"{form} {count}" for form, count in list(counts.items())[:10])) for name, counts in found.forms.items()]
    looked = f"{found.read} of {found.available} looked at and found good" if found.read < found.available else f"{found.read}, all looked at"
    return [("kind", found.kind), ("samples", looked), *forms, *spreads]


def _format_spread(low: float, median: float, high: float) -> str:
    """One figure where all are the same, else the lowest, the middle and the highest."""
    return f"{low:.5g}" if low == high else f"{low:.5g} to {high:.5g}, median {median:.5g}"
