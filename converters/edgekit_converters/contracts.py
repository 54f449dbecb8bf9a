"""What a source, a target or a pass of any package must keep, as checks that a package calls from its own tests.

Each check takes what is to be checked and something real to try it on, and raises AssertionError with a sentence. They
need no test framework. The source's artifact is run and held against what it says of itself, and so is what a target makes.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.arrays import Array, Arrays
from edgekit.artifacts import Artifact
from edgekit.conversion import HUB, Calibration, Order, SourceLoader, SourceModel, SourceOptions, TargetConverter
from edgekit.errors import ConversionError, InputError
from edgekit.files import digest_file
from edgekit.golden import synthesize_inputs
from edgekit.precisions import PRECISIONS, find_precision
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import open_session
from edgekit_converters.calibrating import find_batch
from edgekit_converters.onnx_files import read_model

if TYPE_CHECKING:
    from onnx import ModelProto

    from edgekit_converters.passes.base import Pass


def check_source(loader: SourceLoader, path: Path, workspace: Path, options: SourceOptions | None = None) -> SourceModel:
    """Check that *loader* reads *path* as SourceLoader says; what it read, into *workspace*, is returned.

    Raises:
        AssertionError: it does not accept the file, takes any other for its own, reads it in two ways, damages it, or
            describes a model that does not run, or answers otherwise than described.
    """
    given = options or SourceOptions()
    _demand(loader.accepts(path), f"it does not accept {path}")
    before = {file: digest_file(file) for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()}
    source = loader.load(path, workspace, given)
    _check_model(loader, source)
    _check_run(source, source.artifact, source.directory)
    with tempfile.TemporaryDirectory() as other:
        again = loader.load(path, Path(other), given)
        _demand(source.artifact == again.artifact, "the same file, read twice, gives two artifacts")
        _check_refusals(loader, path, Path(other))
    _demand(before == {file: digest_file(file) for file in before}, f"reading changed what lies in {path}")
    return source


def check_target(converter: TargetConverter, source: SourceModel, calibration: Calibration | None = None) -> dict[str, Artifact]:
    """Check that *converter* makes of *source* each precision that it names, as TargetConverter says: artifacts by precision.

    Those that need calibration are left out without one, and so are those that it refuses for this source with a reason.

    Raises:
        AssertionError: a precision is none, nothing could be made, a file is not where the artifact says, or what was made does not run as
            the source does: with its names, dtypes and shapes.
    """
    obstacle = converter.find_obstacle()
    _demand(obstacle is None, f"it cannot be made here: {obstacle}")
    _demand(set(converter.precisions) <= set(PRECISIONS), f"{converter.precisions} are not all among {tuple(PRECISIONS)}")
    _demand(not set(converter.refusals) & set(converter.precisions), f"it makes what it says that it does not: {tuple(converter.refusals)}")
    _demand(set(converter.suggest_precisions(source)) <= set(converter.precisions), "it suggests precisions that it does not make")
    _demand(all(converter.list_tools().values()), "a tool has no version")
    made: dict[str, Artifact] = {}
    refused = []
    for name in converter.precisions:
        if find_precision(name).needs_calibration and calibration is None:
            continue
        with tempfile.TemporaryDirectory() as directory:
            try:
                made[name] = converter.convert(source, Order(find_precision(name), calibration), Path(directory))
            except ConversionError as error:
                # A model may have nothing that a precision could change, and then says so.
                refused.append(str(error))
                continue
            _demand(made[name].format == converter.format, f"it says that it makes {converter.format}, and made {made[name].format}")
            _check_run(source, made[name], Path(directory))
    _demand(bool(made), f"it made nothing of the source: {'; '.join(refused)}")
    return made


def check_pass(one: Pass, model: ModelProto, inputs: Mapping[str, Array], atol: float = 0.0) -> ModelProto:
    """Check that *one* keeps the answers of *model* to *inputs* within *atol*, and says rightly whether it changed anything.

    Raises:
        AssertionError: it changed the model that it was given or its borders, says that it changed what is the same or
            kept what is not, or its model is not valid or gives other answers.
    """
    before = model.SerializeToString(deterministic=True)
    result = one.run(model)
    _demand(model.SerializeToString(deterministic=True) == before, "it changed the model that it was given")
    after = result.model.SerializeToString(deterministic=True)
    _demand(
        result.modified == (after != before), f"it says modified={result.modified}, and the model is {'another' if after != before else 'the same'}"
    )
    wanted, found = _answer(before, inputs), _answer(after, inputs)
    _demand(list(wanted) == list(found), f"it made the outputs {list(found)} of {list(wanted)}")
    for name, array in wanted.items():
        _demand(found[name].shape == array.shape, f"output {name!r} has the shape {found[name].shape}, and had {array.shape}")
        furthest = float(np.max(np.abs(found[name].astype(np.float64) - array.astype(np.float64)), initial=0.0))
        _demand(furthest <= atol, f"output {name!r} is off by {furthest:.3g}, and {atol:g} is allowed")
    return result.model


def _demand(kept: bool, broken: str) -> None:  # noqa: FBT001 - it reads as an assertion does
    """Raise AssertionError with the sentence *broken*, also where Python leaves assertions out (-O)."""
    if not kept:
        raise AssertionError(broken)


def _check_model(loader: SourceLoader, source: SourceModel) -> None:
    _demand(source.format == loader.format, f"it says that it reads {loader.format}, and read {source.format}")
    _demand(bool(source.files) and all(file.is_file() for file in source.files), "it does not name the files that were brought")
    _demand(bool(source.forms), "it has no form that a target could start from")
    _demand(not set(source.forms) & set(source.absent), "a form is both there and absent")
    _demand(all(form.exists() for form in source.forms.values()), "a form does not exist")
    _demand(all(source.tools.values()), "a tool has no version")
    if HUB in source.forms:
        read_model(source.forms[HUB])


def _check_run(source: SourceModel, artifact: Artifact, directory: Path) -> None:
    """Run *artifact* on made-up inputs, and look at what comes out."""
    for entry in artifact.files:
        _demand(digest_file(directory / entry.path) == entry.digest, f"{entry.path} is not the file that the artifact names")
    names = ([one.name for one in artifact.inputs], [one.name for one in artifact.outputs])
    _demand(names == ([one.name for one in source.inputs], [one.name for one in source.outputs]), f"its tensors are {names}, not the source's")
    inputs = synthesize_inputs(source.inputs, find_batch(source), np.random.default_rng(0))
    runtime = find_runtime(artifact.format)
    with open_session(directory / artifact.files[0].path, artifact, source.inputs, source.outputs, runtime) as session:
        answers: Arrays = session.infer(inputs)
    for spec in source.outputs:
        found = answers[spec.name]
        _demand(spec.dtype in (found.dtype.name, "bytes"), f"{spec} came out as {found.dtype.name}")
        _demand(spec.accepts(found.shape), f"{spec} came out with the shape {found.shape}")


def _check_refusals(loader: SourceLoader, path: Path, directory: Path) -> None:
    """What is no model at all, or half of one, is not taken, or refused as the caller's fault."""
    for name, data in (("empty", b""), ("noise", bytes(range(256)) * 4), ("cut off", _cut(path))):
        other = directory / f"contract-{name.replace(' ', '-')}{path.suffix}"
        other.write_bytes(data)
        if not loader.accepts(other):
            continue
        try:
            loader.load(other, directory, SourceOptions())
        except InputError:
            continue
        raise AssertionError(f"it read a file that is {name} as a model")


def _cut(path: Path) -> bytes:
    """The first half of the file at *path*, and of a directory nothing."""
    data = path.read_bytes() if path.is_file() else b""
    return data[: len(data) // 2]


def _answer(data: bytes, inputs: Mapping[str, Array]) -> Arrays:
    """What ONNX Runtime answers to *inputs* with the ONNX model in *data*, which must be valid."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.onnx"
        path.write_bytes(data)
        read_model(path)
        with contextlib.closing(find_runtime(HUB).open(path, 1)) as session:
            answers = session.run([inputs[spec.name] for spec in session.inputs])
            return {spec.name: array for spec, array in zip(session.outputs, answers, strict=True)}
