"""A variant goes live only after it has given the source model's answers on this very device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.box_parity import prepare_box_reader
from edgekit.bundles import VerifiedBundle
from edgekit.errors import GateRefused, ParityError, RawParityError
from edgekit.manifest import Parity, Variant
from edgekit.parity import Answering, prove
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.sessions import InferenceSession, open_variant
from edgekit_agent.raw_access import OpenContract, open_contract

if TYPE_CHECKING:
    from edgekit.golden_raw import RawProof

_REMEDY = "Nothing was changed. Take another variant with --variant, or another release; edgekit inspect lists them."


@dataclass(frozen=True)
class ProvenSession:
    """A loaded variant whose answers to the golden samples were within its own tolerance. The holder closes it.

    *contract* is that of its bundle, and *raw* what its golden raw items have shown; None where it has none, or they cannot be
    read here.
    """

    session: InferenceSession
    parity: Parity
    contract: OpenContract
    raw: RawProof | None
    has_golden_raw: bool

    @property
    def raw_proof(self) -> str:
        """What the golden raw items have shown, in words; empty where there are none."""
        if self.raw is not None:
            return f"{self.raw.items} golden raw items become what was recorded, and are answered as they should be"
        if not self.has_golden_raw:
            return ""
        return f"unproven raw: {self.contract.obstacle or 'the bundle has no contract that takes raw items'}"


def open_proven(bundle: VerifiedBundle, variant: Variant, runtime: Runtime, threads: int) -> ProvenSession:
    """Load *variant* of *bundle* in *runtime*, and hold it against the golden samples by its own tolerance.

    Where this device has the libraries for the bundle's contract, the golden raw items are proven too: an encoded picture or
    sound must become here what it became on the workstation, and be answered alike. This also warms both up: the first requests meet a
    session that has run before.

    Raises:
        GateRefused: its answers differ from the source model's by more than its tolerance, or the contract makes something else of the
            golden raw items; the message names the mistake that the contract looks like.
        InputError: the file is not a model that the runtime loads, or the golden samples or the contract do not fit it.
    """
    contract = open_contract(bundle)
    session = open_variant(bundle, variant, runtime, threads)
    try:
        parity = prove_samples(session, bundle, variant, contract)
        return ProvenSession(session, parity, contract, _prove_items(session, bundle, variant, contract), bundle.manifest.golden_raw is not None)
    except ParityError as error:
        session.close()
        remedy = f"Nothing was changed. {error.remedy}" if isinstance(error, RawParityError) else _REMEDY
        raise GateRefused(error.subject, error.problem, remedy) from error
    except BaseException:
        session.close()
        raise


def prove_samples(session: Answering, bundle: VerifiedBundle, variant: Variant, contract: OpenContract) -> Parity:
    """The parity of *session*, in which *variant* is loaded, with the golden samples; ParityError where it exceeds the tolerance.

    A detector is held against its boxes too, where this device can read them.
    """
    manifest = bundle.manifest
    boxes = None if contract.pipeline is None else prepare_box_reader(manifest.processing, manifest.outputs)
    return prove(session, bundle.read_golden(), variant.tolerance, _name(bundle, variant), boxes)


def _prove_items(session: Answering, bundle: VerifiedBundle, variant: Variant, contract: OpenContract) -> RawProof | None:
    if contract.pipeline is None or bundle.manifest.golden_raw is None:
        return None
    from edgekit.golden_raw import prove_raw, read_golden_raw

    golden_raw = read_golden_raw(bundle)
    return None if golden_raw is None else prove_raw(contract.pipeline, session, golden_raw, variant.id, _name(bundle, variant))


def _name(bundle: VerifiedBundle, variant: Variant) -> str:
    return f"{bundle.manifest.name}, variant {variant.id}"
