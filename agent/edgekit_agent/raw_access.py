"""What callers may give a model beside tensors: pictures, sounds, texts and tables, by the contract of its bundle.

What carries contracts out is imported where a bundle has one: a device without keeps its memory for models.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.bundles import VerifiedBundle
from edgekit.contract import Kind, Processing
from edgekit.errors import DeviceError
from edgekit.records import Record
from edgekit.tensors import TensorSpec

if TYPE_CHECKING:
    from edgekit.processing.pipeline import ContractPipeline

log = logging.getLogger(__name__)


class RawUnavailable(DeviceError):
    """The model takes raw items, and this device cannot carry out its contract."""


class RawAccess(Record, frozen=True, kw_only=True):
    """How a model is asked with raw items: *inputs* are what callers give, of what *kinds*, and *answers* what they get.

    *unavailable* says why that cannot be had here, and *proof* what the golden raw items have shown; empty where there are none.
    """

    inputs: tuple[TensorSpec, ...]
    kinds: dict[str, Kind]
    answers: tuple[TensorSpec, ...]
    unavailable: str | None = None
    proof: str = ""


@dataclass(frozen=True)
class OpenContract:
    """A bundle's contract on this device: the *pipeline* that carries it out, or the *obstacle*; neither where it takes no raw items."""

    pipeline: ContractPipeline | None = None
    obstacle: DeviceError | None = None


def open_contract(bundle: VerifiedBundle) -> OpenContract:
    """Make the contract of *bundle* ready, and log it where a library is missing: tensors can be served without.

    Raises:
        InputError: the contract does not fit the model, or a file of it is damaged.
    """
    manifest = bundle.manifest
    if manifest.processing is None or not manifest.processing.inputs:
        return OpenContract()
    from edgekit.processing.pipeline import open_pipeline

    try:
        return OpenContract(open_pipeline(manifest.processing, manifest.inputs, manifest.outputs, bundle.root))
    except DeviceError as error:
        log.warning("model %s takes tensors alone here: %s", manifest.name, error)
        return OpenContract(obstacle=error)


def describe_access(bundle: VerifiedBundle, contract: OpenContract, proof: str) -> RawAccess | None:
    """How callers may give raw items to the model of *bundle*; None where it takes none."""
    processing = bundle.manifest.processing
    if processing is None or not processing.inputs:
        return None
    return RawAccess(
        inputs=tuple(TensorSpec(name=feature.name, dtype="bytes", shape=(1,)) for feature in processing.inputs),
        kinds={feature.name: feature.kind for feature in processing.inputs},
        answers=_list_answers(processing, bundle.manifest.outputs),
        unavailable=None if contract.obstacle is None else str(contract.obstacle),
        proof=proof,
    )


def _list_answers(processing: Processing, outputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    from edgekit.processing.readers import answer_specs

    return answer_specs(processing) or outputs
