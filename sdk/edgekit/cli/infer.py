"""``edgekit infer``: what a bundle's model says of pictures, sounds, texts and tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.completing import complete_variants

if TYPE_CHECKING:
    from edgekit.answers import Answer
    from edgekit.loading import Model

#: So many classes, boxes or numbers of an answer stand in the table; --json has them all.
_SHOWN = 10
#: What stands in the table for a file where an item has no name of its own.
_TEXT = "text"


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="Ask about TEXT instead of a file; may be given more than once.")
@click.option("--variant", metavar="ID", shell_complete=complete_variants, help="Ask this variant instead of the default for this machine.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Threads for one inference.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the boxes or the mask into the one picture given: a PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def infer(  # noqa: PLR0913 - one argument for each option
    *, bundle: Path, files: tuple[str, ...], texts: tuple[str, ...], variant: str | None, threads: int, picture: Path | None, as_json: bool
) -> None:
    """Say what the model of BUNDLE answers to each FILE.

    Files are what the bundle's contract takes: pictures, sounds, texts or CSV. Where it takes several at once, give each as
    NAME=FILE; together they are one item. Every file of the bundle that is used is held against its digest first.

    The first FILE that cannot be read ends the command, and no answer is shown.

    \b
    Examples:
      edgekit infer flowers-bundle rose.jpg tulip.jpg
      edgekit infer detector-bundle street.jpg --picture found.png
    """  # noqa: D301 - click wants the character itself
    from edgekit.cli.console import print_json, progress
    from edgekit.loading import load

    with load(bundle, variant=variant, threads=threads) as model:
        items = _name_items(model, files, texts)
        if picture is not None and len(items) != 1:
            raise click.UsageError("--picture goes with one FILE.", click.get_current_context())
        with progress() as show:
            answered = list(_ask(model, items, show))
        if picture is not None:
            _draw(model, items[0][1], answered[0][1], picture)
        if as_json:
            told = [{"item": name, "answer": _to_json(answer), "ms": round(ms, 3)} for name, answer, ms in answered]
            print_json({"model": model.bundle.manifest.name, "variant": model.variant.id, "answers": told})
        else:
            _print_answers(model, answered)


def _name_items(model: "Model", files: Sequence[str], texts: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each item with what the table calls it: by the name of the contract's input, a Path or a text."""
    from edgekit.errors import InputError

    if model.processing is None or not model.processing.inputs:
        raise InputError(model.bundle.root, "it has no contract that takes files", "Make it with edgekit convert --task TASK, or --processing FILE.")
    names = [feature.name for feature in model.processing.inputs]
    if texts and (len(names) > 1 or model.processing.inputs[0].kind != "text"):
        raise click.UsageError("--text goes with a bundle whose contract takes one text.", click.get_current_context())
    if len(names) > 1:
        return [_join_item(names, files)]
    items: list[tuple[str, dict[str, Any]]] = [(file, {names[0]: Path(file)}) for file in files]
    items += [(_TEXT if len(texts) == 1 else f"{_TEXT} {place}", {names[0]: text}) for place, text in enumerate(texts, 1)]
    if not items:
        raise click.UsageError("Give at least one FILE.", click.get_current_context())
    return items


def _join_item(names: Sequence[str], files: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The one item that NAME=FILE together are."""
    pairs = [file.partition("=") for file in files]
    if sorted(name for name, _, path in pairs if path) != sorted(names):
        expected = " ".join(f"{name}=FILE" for name in names)
        raise click.UsageError(f"The contract has {len(names)} inputs: give {expected}.", click.get_current_context())
    return " ".join(files), {name: Path(path) for name, _, path in pairs}


def _ask(model: "Model", items: Sequence[tuple[str, dict[str, Any]]], show: Any) -> Iterator[tuple[str, "Answer", float]]:
    """For each item its name, the answer, and the milliseconds that it took."""
    import time

    from edgekit.errors import InputError

    for done, (name, raws) in enumerate(items):
        show("asking the model", done, len(items))
        began = time.perf_counter()
        try:
            answer = model(**raws)
        except InputError as error:
            # The model knows the input's name alone, and this is about one file of many.
            told = error.problem if error.subject == name else f"{error.subject}: {error.problem}"
            raise InputError(name, told, error.remedy) from error
        yield name, answer, (time.perf_counter() - began) * 1000


def _draw(model: "Model", raws: dict[str, Any], answer: "Answer", path: Path) -> None:
    from edgekit.drawing import draw_answer
    from edgekit.errors import InputError
    from edgekit.files import write_file
    from edgekit.processing.pictures import open_picture

    kinds = {feature.name: feature.kind for feature in (model.processing.inputs if model.processing else ())}
    pictures = [value for name, value in raws.items() if kinds[name] == "image"]
    if len(pictures) != 1:
        raise InputError("--picture", "the contract does not take one picture", "Leave --picture out.")
    write_file(path, draw_answer(open_picture(pictures[0].read_bytes(), str(pictures[0])).to_pixels(), answer))


def _to_json(answer: "Answer") -> dict[str, Any]:
    """The answer as JSON can say it: of a mask its size and the share of each class, since it may have millions of pixels."""
    from edgekit.arrays import is_text, to_plain

    if answer.mask is not None:
        return {"size": list(answer.mask.shape), "shares": {str(number): share for number, share in _share_classes(answer.mask)}}
    plain = {name: to_plain(array) if is_text(array) else array for name, array in answer.arrays.items()}
    lists = {name: array.tolist() for name, array in plain.items()}
    return {name: [item.decode(errors="replace") for item in value] if is_text(plain[name]) else value for name, value in lists.items()}


def _share_classes(mask: Any) -> list[tuple[int, float]]:
    """Each class of *mask* with its share of the pixels, the largest first."""
    import numpy as np

    classes, counts = np.unique(mask, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [(int(classes[one]), float(counts[one] / mask.size)) for one in order]


def _print_answers(model: "Model", answered: Sequence[tuple[str, "Answer", float]]) -> None:
    from edgekit.cli.console import print_table, say
    from edgekit.quantities import format_ms

    columns = _choose_columns(answered[0][1])
    rows = [(name, *row) for name, answer, _ in answered for row in _list_rows(model, answer)]
    print_table(("item", *columns), rows, title=f"{model.bundle.manifest.name}, variant {model.variant.id}")
    # The first of several also pays for what is loaded at the first use.
    say(f"{format_ms(sorted(ms for *_, ms in answered)[len(answered) // 2])} for each item, from the file to the answer (median of {len(answered)})")


def _choose_columns(answer: "Answer") -> tuple[str, ...]:
    if answer.boxes is not None:
        return ("label", "score", "left", "top", "right", "bottom")
    if answer.labels is not None:
        return ("label", "score")
    if answer.mask is not None:
        return ("class", "share")
    if answer.score is not None:
        return ("score", "anomaly")
    return ("text",) if answer.text is not None else ("output", "shape", "first values")


def _list_rows(model: "Model", answer: "Answer") -> list[tuple[str, ...]]:
    """The rows of one answer, as _choose_columns names their cells; a dash where nothing was found."""
    from edgekit.quantities import format_share

    nothing = [("-",) * len(_choose_columns(answer))]
    if answer.labels is not None and answer.scores is not None:
        boxes = [()] * len(answer.labels) if answer.boxes is None else [tuple(f"{side:.1f}" for side in box) for box in answer.boxes.tolist()]
        found = zip(answer.labels, answer.scores.tolist(), boxes, strict=True)
        return [(label, f"{score:.4g}", *box) for label, score, box in list(found)[:_SHOWN]] or nothing
    if answer.mask is not None and model.processing is not None:
        name = model.processing.name_class
        shares = _share_classes(answer.mask)[:_SHOWN]
        return [("unknown" if one < 0 else name(one), format_share(share)) for one, share in shares]
    if answer.score is not None:
        return [(f"{answer.score:.6g}", {None: "-", True: "yes", False: "no"}[answer.is_anomaly])]
    if answer.text is not None:
        return [(answer.text,)]
    return _list_tensors(answer)


def _list_tensors(answer: "Answer") -> list[tuple[str, ...]]:
    from edgekit.arrays import is_text

    rows: list[tuple[str, ...]] = []
    for name, array in answer.arrays.items():
        first = [str(value) if is_text(array) else f"{value:.4g}" for value in array.ravel()[:_SHOWN].tolist()]
        rows.append((name, "x".join(map(str, array.shape)), ", ".join(first) + (", …" if array.size > _SHOWN else "")))
    return rows
