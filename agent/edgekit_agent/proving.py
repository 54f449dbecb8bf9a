"""A variant goes live only after it has given the source model's answers on this very device."""

from dataclasses import dataclass

from edgekit.bundles import VerifiedBundle
from edgekit.errors import GateRefused, ParityError
from edgekit.manifest import Parity, Variant
from edgekit.parity import answer_samples, check_parity
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.sessions import InferenceSession, open_variant

_REMEDY = "Nothing was changed. Take another variant with --variant, or another release; edgekit inspect lists them."


@dataclass(frozen=True)
class ProvenSession:
    """A loaded variant whose answers to the golden samples were within its own tolerance. The holder closes it."""

    session: InferenceSession
    parity: Parity


def open_proven(bundle: VerifiedBundle, variant: Variant, runtime: Runtime, threads: int) -> ProvenSession:
    """Load *variant* of *bundle* in *runtime*, and hold it against the golden samples by its own tolerance.

    This also warms it up: the first requests meet a session that has run before.

    Raises:
        GateRefused: its answers differ from the source model's by more than its tolerance.
        InputError: the file is not a model that the runtime loads, or the golden samples do not fit it.
    """
    session = open_variant(bundle, variant, runtime, threads)
    try:
        return ProvenSession(session, _prove(session, bundle, variant))
    except BaseException:
        session.close()
        raise


def _prove(session: InferenceSession, bundle: VerifiedBundle, variant: Variant) -> Parity:
    subject = f"{bundle.manifest.name}, variant {variant.id}"
    golden = bundle.read_golden()
    try:
        return check_parity(golden, answer_samples(session, golden.inputs, subject), variant.tolerance, subject)
    except ParityError as error:
        raise GateRefused(error.subject, error.problem, _REMEDY) from error
