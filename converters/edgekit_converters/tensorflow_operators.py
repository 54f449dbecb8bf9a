"""Which of TensorFlow's operators are not arithmetic: they reach files, the network, Python or another device."""

from __future__ import annotations

import re

#: Matches an operator's whole name. Names of functions, in small letters with underscores, are matched by reaches_out alone.
#: ImmutableConst maps a file, and Print writes one where its output_stream says so (tf.print).
FORBIDDEN = (
    r".*(PyFunc|File|Reader|Dataset|Iterator|Summary|Debug|Rpc|Lmdb|LMDB|Bigtable|BigQuery|Kafka|Checkpoint|LoadAndRemap"
    r"|RemoteCall|Collective|TPU|TRTEngine|Distributed|NcclAll|GcsConfigure).*"
    r"|Print(V2)?|ImmutableConst|Save.*|Restore.*|(_Host)?(Send|Recv)|_(Send|Recv)|ShardedFilename.*|PyCall"
)
#: Operators of a checkpoint, which every SavedModel has, in functions that nothing here calls.
CHECKPOINT = r"Save.*|Restore.*|MergeV2Checkpoints|ShardedFilename.*"
#: Operators that change a variable, so that one call leaves something to the next. Loading a model uses them too.
CHANGING = r"Assign.*|Resource(Scatter|Apply|Sparse|StridedSliceAssign).*"


def reaches_out(name: str) -> bool:
    """Whether the operator, or the function of TensorFlow's API, *name* does more than arithmetic."""
    title = "".join(word[:1].upper() + word[1:] for word in name.split("_"))
    return re.fullmatch(FORBIDDEN, title) is not None or title in ("PyFunction", "NumpyFunction", "LoadLibrary", "LoadOpLibrary")


def is_checkpoint(name: str) -> bool:
    """Whether *name* is an operator that saves or restores a checkpoint."""
    return re.fullmatch(CHECKPOINT, name) is not None
