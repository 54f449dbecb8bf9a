"""How ``edgekit inspect --processing`` shows a contract: step by step, on a sample, and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.arrays import Array, dtype_of
from edgekit.cli.console import print_json, print_table, say
from edgekit.contract import Feature, Processing, Step
from edgekit.errors import InputError
from edgekit.files import read_limited, write_file
from edgekit.processing.base import Raw
from edgekit.processing.wording import describe_feature, describe_reading, describe_step

if TYPE_CHECKING:
    from edgekit.bundles import VerifiedBundle

#: The largest file that is read as a sample.
MAX_SAMPLE_BYTES = 256 << 20


def show_processing(bundle: "VerifiedBundle", samples: Sequence[str], picture: Path | None, *, as_json: bool) -> None:
    """Print the contract of *bundle*; with *samples* also what each step makes of them, and at *picture* what the model is fed.

    Raises:
        InputError: the bundle has no contract, or a sample cannot be used.
        DeviceError: a library that the contract needs is not installed.
    """
    contract = bundle.manifest.processing
    if contract is None:
        remedy = "Make it with edgekit convert --processing FILE, or --task NAME."
        raise InputError(bundle.root, "it has no processing contract: callers give the model's own tensors", remedy)
    if picture is not None and not samples:
        raise click.UsageError("--picture needs a --sample FILE to be made of.")
    watched = _watch(bundle, contract, samples) if samples else []
    how = None if picture is None else _draw(watched, picture)
    if as_json:
        rows = [{"input": feature.name, "step": _name(step), "does": _say_step(step), **_measure(values)} for feature, step, values in watched]
        print_json({"processing": contract, "sample": rows, "picture": how})
    else:
        _print_contract(contract)
        _print_watched(watched)


def _watch(bundle: "VerifiedBundle", contract: Processing, samples: Sequence[str]) -> list[tuple[Feature, Step | None, Array]]:
    from edgekit.processing.pipeline import open_pipeline

    manifest = bundle.manifest
    pipeline = open_pipeline(contract, manifest.inputs, manifest.outputs, bundle.root)
    raws = dict(_read_sample(contract, text) for text in samples)
    # Fed as a model would be, so that what does not fit is refused here too.
    pipeline.feed(raws)
    return list(pipeline.watch(raws))


def _read_sample(contract: Processing, text: str) -> tuple[str, Raw]:
    """The feature that ``FILE`` or ``NAME=FILE`` is for, and what is in the file."""
    features = {feature.name: feature for feature in contract.inputs}
    name, _, path = text.partition("=")
    if name not in features or not path:
        name, path = next(iter(features), ""), text
    if not features:
        raise InputError("--sample", "the contract has no inputs: callers give the model's own tensors", "Leave --sample out.")
    data = read_limited(Path(path), MAX_SAMPLE_BYTES, "Give a smaller sample.")
    return name, _decode_text(data, path) if features[name].kind == "text" else data


def _decode_text(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(path, f"it is no text in UTF-8: {error}", "Save it as UTF-8.") from error


def _draw(watched: Sequence[tuple[Feature, Step | None, Array]], path: Path) -> str:
    """Write what the model is fed of the first picture, or of the first input where there is none; how it was made visible."""
    import io

    from edgekit.processing.libraries import load_library
    from edgekit.processing.viewing import draw_fed

    first = next((feature for feature, _, _ in watched if feature.kind == "image"), watched[0][0])
    pixels, how = draw_fed(first, [(step, values) for feature, step, values in watched if feature is first])
    grey = pixels.ndim == 3 and pixels.shape[2] == 1
    image = load_library("PIL.Image", "images").fromarray(pixels[..., 0] if grey else pixels.copy())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_file(path, buffer.getvalue())
    say(f"{path}: {how}.")
    return how


def _print_contract(contract: Processing) -> None:
    for feature in contract.inputs:
        rows = [(str(index), _name(step), describe_step(step)) for index, step in enumerate(feature.steps, 1)]
        print_table(("step", "name", "what it does"), rows, title=f"input {feature.name}: {describe_feature(feature)}")
    labels = (
        f"; {len(contract.labels)} labels: {', '.join(contract.labels[:5])}{', …' if len(contract.labels) > 5 else ''}" if contract.labels else ""
    )
    click.echo(f"Answer: {describe_reading(contract.answer)}{labels}.")


def _print_watched(watched: Sequence[tuple[Feature, Step | None, Array]]) -> None:
    columns = ("input", "after", "shape", "dtype", "lowest", "highest", "mean")
    rows = []
    for feature, step, values in watched:
        measured = _measure(values)
        figures = ("-" if measured[key] is None else f"{measured[key]:.6g}" for key in ("lowest", "highest", "mean"))
        rows.append((feature.name, _name(step), "x".join(map(str, values.shape)), measured["dtype"], *figures))
    if rows:
        print_table(columns, rows, title="the sample, with its samples for the model along the first axis")


def _name(step: Step | None) -> str:
    return "given" if step is None else str(step.__struct_config__.tag)


def _say_step(step: Step | None) -> str:
    return "what the caller gave" if step is None else describe_step(step)


def _measure(values: Array) -> dict[str, Any]:
    """Shape, dtype and range of *values*; None for the range of nothing."""
    figures = {"lowest": float(values.min()), "highest": float(values.max()), "mean": float(values.mean(dtype="float64"))} if values.size else {}
    return {"shape": list(values.shape), "dtype": dtype_of(values), "lowest": None, "highest": None, "mean": None} | figures
