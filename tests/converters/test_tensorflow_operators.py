"""TensorFlow's operators that do more than compute are told from those that only do."""

import pytest

from edgekit_converters.tensorflow_operators import is_checkpoint, reaches_out


@pytest.mark.parametrize(
    "name",
    [
        "PyFunc", "EagerPyFunc", "PyFuncStateless", "ReadFile", "WriteFile", "MatchingFiles", "InitializeTableFromTextFileV2", "TFRecordReaderV2",
        "TFRecordDataset", "OneShotIterator", "WriteScalarSummary", "DebugIdentityV2", "ImmutableConst", "PrintV2", "Print", "SaveV2", "RestoreV2",
        "LoadAndRemapMatrix", "RpcCall", "CollectiveReduce", "_Send", "TRTEngineOp", "RemoteCall",
        "print", "py_function", "numpy_function", "read_file", "load_library", "load_op_library",
    ],
)  # fmt: skip
def test_what_reaches_out_is_known(name) -> None:
    """Operators and functions that touch files, Python, the network or another device are told by their names."""
    assert reaches_out(name)


@pytest.mark.parametrize(
    "name",
    ["MatMul", "Conv2D", "ReadVariableOp", "VarHandleOp", "Placeholder", "StatefulPartitionedCall", "TensorListReserve", "Softmax", "Const", "NoOp",
     "concat", "reshape", "expand_dims", "add", "sigmoid"],
)  # fmt: skip
def test_arithmetic_is_not(name) -> None:
    """Operators and functions of ordinary models are let through."""
    assert not reaches_out(name)


def test_operators_of_checkpoints_are_told_apart() -> None:
    """Every SavedModel has operators that save and restore it, in functions that nothing here calls."""
    assert all(map(is_checkpoint, ("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename")))
    assert not is_checkpoint("WriteFile")
