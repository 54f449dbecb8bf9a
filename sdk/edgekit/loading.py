"""``edgekit.load``: a bundle's model in Python, which takes pictures, sounds, texts and tables as it does on a device.

with edgekit.load("flowers-bundle") as model:
    print(model("rose.jpg"))
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgekit.answers import Answer
from edgekit.arrays import Array, Arrays
from edgekit.bundles import VerifiedBundle, open_bundle
from edgekit.contract import Feature, Processing
from edgekit.errors import DeviceError, InputError
from edgekit.files import read_limited
from edgekit.gate import choose_default, choose_unmeasured
from edgekit.hardware import describe_hardware
from edgekit.manifest import Manifest, Variant
from edgekit.parity import answer_samples
from edgekit.processing.base import Raw
from edgekit.processing.pictures import read_image
from edgekit.processing.pipeline import ContractPipeline, open_pipeline
from edgekit.runtimes.registry import EXTRAS, find_runtime, find_runtimes
from edgekit.runtimes.sessions import InferenceSession, open_variant
from edgekit.targets import find_target
from edgekit.tensors import TensorSpec

#: The largest file that is read for one item.
MAX_ITEM_BYTES = 256 << 20


class Model:
    """One variant of a bundle, loaded. Called with an item it gives the answer in the contract's words; load() makes one.

    It may be called by several threads. *pipeline* is the bundle's contract made ready; None where it has none, or where a library
    for it is missing, which *obstacle* says.
    """

    def __init__(
        self, bundle: VerifiedBundle, variant: Variant, session: InferenceSession, pipeline: ContractPipeline | None, obstacle: DeviceError | None
    ) -> None:
        self.bundle = bundle
        self.variant = variant
        self._session = session
        self._pipeline = pipeline
        self._obstacle = obstacle

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The model's own inputs, which infer() takes."""
        return self.bundle.manifest.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model's own outputs, which infer() gives."""
        return self.bundle.manifest.outputs

    @property
    def processing(self) -> Processing | None:
        """The contract by which items become tensors, and tensors answers; None where the bundle has none."""
        return self.bundle.manifest.processing

    def __call__(self, item: object = None, /, **items: object) -> Answer:
        """The answer to one item: a picture, a sound, a text or a table.

        A picture may be a path, the bytes of a file, Pillow's image or pixels (rows, columns, RGB as uint8); a sound a path, bytes
        or samples at the contract's rate; a text the text itself or a Path; a table a path, CSV or rows. A contract with several
        inputs gets each by its name.

        Raises:
            InputError: it is nothing that can be read, or the bundle has no contract; the message names the input.
            DeviceError: a library that the contract needs is not installed here; the message names the extra.
        """
        pipeline = self._find_pipeline()
        fed = pipeline.feed(_name_items(pipeline, item, items))
        outputs = answer_samples(self._session, fed.inputs, self.bundle.manifest.name)
        return Answer(pipeline.read(outputs, fed), pipeline.contract.answer)

    def infer(self, tensors: Mapping[str, Array]) -> Arrays:
        """The model's outputs by name for *tensors* as its inputs state them; no contract touches either.

        Raises:
            InputError: an input is missing, unknown, or of another dtype or shape.
        """
        return self._session.infer(tensors)

    def close(self) -> None:
        """Give the model's memory back. Nothing may be asked afterwards."""
        self._session.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        inputs = self.inputs if self._pipeline is None else self._pipeline.inputs
        return f"Model({self.bundle.manifest.name}, variant {self.variant.id}, inputs {', '.join(spec.name for spec in inputs)})"

    def _find_pipeline(self) -> ContractPipeline:
        if self._obstacle is not None:
            raise self._obstacle
        if self._pipeline is None:
            remedy = "Give tensors to model.infer(), or make the bundle with edgekit convert --task or --processing."
            raise InputError(self.bundle.root, "it has no processing contract by which an item would become tensors", remedy)
        return self._pipeline


def load(bundle: str | Path, *, variant: str | None = None, threads: int = 1) -> Model:
    """Verify the bundle in the directory *bundle*, and load one of its variants.

    Args:
        bundle: a directory that ``edgekit convert`` made.
        variant: the id of the variant; by default the one that a device like this machine would take.
        threads: threads for one inference.

    Raises:
        InputError: no bundle, no such variant, or the contract does not fit the model.
        TrustError: a byte is not what the manifest says.
        DeviceError: no runtime here loads it.
    """
    root = Path(bundle)
    # Without any variant first, so that those which are not taken need not be read, nor be there.
    chosen = _choose_variant(open_bundle(root, ()).manifest, variant)
    verified = open_bundle(root, (chosen.id,))
    pipeline, obstacle = _open_contract(verified)
    session = open_variant(verified, chosen, find_runtime(chosen.format), threads)
    return Model(verified, chosen, session, pipeline, obstacle)


def _open_contract(bundle: VerifiedBundle) -> tuple[ContractPipeline | None, DeviceError | None]:
    """The contract of *bundle* made ready, or the refusal that every call gets: tensors can be inferred without its libraries."""
    manifest = bundle.manifest
    if manifest.processing is None:
        return None, None
    try:
        return open_pipeline(manifest.processing, manifest.inputs, manifest.outputs, bundle.root), None
    except DeviceError as error:
        return None, error


def _choose_variant(manifest: Manifest, wanted: str | None) -> Variant:
    """The variant called *wanted*, else the default for machines like this one, of those for which a runtime is installed."""
    formats = {one for runtime in find_runtimes().values() for one in runtime.formats}
    asked = manifest.variants if wanted is None else (manifest.find_variant(wanted),)
    fitting = [variant for variant in asked if variant.accelerator is None]
    runnable = [variant for variant in fitting if variant.format in formats]
    target = find_target(describe_hardware())
    default = manifest.defaults.get(target)
    if default is not None and any(variant.id == default.variant for variant in runnable):
        return manifest.find_variant(default.variant)
    choice = choose_default(runnable, target) or choose_unmeasured(runnable, target)
    if choice is None:
        raise _refuse(manifest.name, asked, fitting)
    return manifest.find_variant(choice.variant)


def _refuse(name: str, asked: Sequence[Variant], fitting: Sequence[Variant]) -> DeviceError:
    """The refusal where none of *asked* can be loaded here, of which *fitting* are for CPUs: what would have to be installed, or made."""
    if fitting:
        formats = sorted({variant.format for variant in fitting})
        commands = " or ".join(f"pip install 'edgekit[{EXTRAS.get(one, one)}]'" for one in formats)
        return DeviceError(name, f"it comes as {', '.join(formats)}, and no runtime for that is installed here", f"Install one: {commands}.")
    kinds = ", ".join(sorted({variant.accelerator for variant in asked if variant.accelerator is not None}))
    return DeviceError(name, f"it is made for {kinds}, and no runtime here drives that", "Take a variant for the CPU; edgekit inspect lists them.")


def _name_items(pipeline: ContractPipeline, item: object, items: Mapping[str, object]) -> dict[str, Raw]:
    """What a caller gave, by the names of the contract's inputs."""
    names = [spec.name for spec in pipeline.inputs]
    features = {feature.name: feature for feature in pipeline.contract.inputs}
    if item is not None:
        if len(names) != 1 or items:
            given = f"Give each by its name: {', '.join(f'{name}=…' for name in names)}."
            raise InputError("item", f"it has no name, and the contract has {len(names)} inputs", given)
        items = {names[0]: item}
    return {name: _read_item(features.get(name), value, f"input {name!r}") for name, value in items.items()}


def _read_item(feature: Feature | None, value: Any, subject: str) -> Raw:
    """*value* as pipelines take it. A *feature* that is None stands for a tensor, or for an input that the pipeline will refuse."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Path) or (isinstance(value, str) and feature is not None and feature.kind != "text"):
        return read_limited(Path(value), MAX_ITEM_BYTES, "Give a smaller one.")
    if isinstance(value, str):
        return value
    if _is_image(value):
        return read_image(value, subject)
    expected = "a path, bytes, an array, a text or Pillow's image is expected"
    raise InputError(subject, f"it is a {type(value).__module__}.{type(value).__qualname__}, and {expected}", "Give one of these.")


def _is_image(value: object) -> bool:
    """Whether *value* is an image of Pillow's, which nobody can have without having imported it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)
