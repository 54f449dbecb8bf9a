"""A corpus of files from anybody: real models damaged in every way, and small ones made to do harm.

Each ends as a model or as the caller's fault in words, in bounded time and memory, and takes nobody else down.
"""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.measuring_frames import Refused
from edgekit_converters.confining import Limits, confine
from edgekit_converters.onnx_hub_records import HubRequest
from edgekit_converters.onnx_hub_worker import answer
from edgekit_converters.reading_limits import limit_reading

ROOT = Path(__file__).parents[2]
REAL = (ROOT / "examples" / "digits" / "digits.onnx", ROOT.parent / "shared" / "models" / "fashion-mnist" / "fashion_cnn.onnx")
READ, REFUSED, WRONG = 0, 10, 20
#: What reading may take here, in seconds by the clock: its processor time is bounded at half of it.
DEADLINE_S = 90


def _graph(nodes, weights=None, x=("n", 4), y=("n", 4)) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _summed(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """*node*, which makes ``c`` of constants, on its way into the output."""
    return [node, helper.make_node("ReduceSum", ["c"], ["r"], keepdims=0), helper.make_node("Add", ["x", "r"], ["y"])]


def _branching(condition: bool) -> onnx.ModelProto:
    inner = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 4])])
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    return _graph(nodes, {"yes": np.array(condition)})


def _looping(rounds: int) -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Concat", ["v", "v"], ["w"], axis=0)],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [None]),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("w", TensorProto.FLOAT, [None])],
    )
    weights = {"rounds": np.array(rounds), "yes": np.array(True), "one": np.ones(1, np.float32)}
    return _graph(_summed(helper.make_node("Loop", ["rounds", "yes", "one"], ["c"], body=body)), weights)


def _calling() -> onnx.ModelProto:
    model = _graph([helper.make_node("F", ["x"], ["y"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    return model


# One graph for each way to make much of little; mutations make the numbers in them absurd.
MADE = [
    _graph(_summed(helper.make_node("ConstantOfShape", ["s"], ["c"])), {"s": np.array([8])}),
    _graph(_summed(helper.make_node("Expand", ["one", "s"], ["c"])), {"one": np.float32(1), "s": np.array([8])}),
    _graph(_summed(helper.make_node("Tile", ["row", "s"], ["c"])), {"row": np.ones(4, np.float32), "s": np.array([2])}),
    _graph(_summed(helper.make_node("Range", ["a", "b", "a"], ["c"])), {"a": np.float32(1), "b": np.float32(8)}),
    _graph(_summed(helper.make_node("Pad", ["row", "s"], ["c"])), {"row": np.ones(4, np.float32), "s": np.array([0, 2])}),
    _graph(_summed(helper.make_node("Resize", ["row", "", "s"], ["c"])), {"row": np.ones(4, np.float32), "s": np.array([2], np.float32)}),
    _graph(
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "i"], ["g"]),
            helper.make_node("Reshape", ["x", "g"], ["y"]),
        ],
        {"i": np.array([0, 1])},
    ),
    _branching(condition=True),
    _looping(3),
    _calling(),
]
CORPUS = [path.read_bytes() for path in REAL if path.is_file()] + [model.SerializeToString() for model in MADE]

NUMBERS = st.sampled_from([0, 1, -1, 2, 17, 127, (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1, -(1 << 63)])
WORDS = st.sampled_from(["", "x", "y", "c", "s", "If", "Loop", "Scan", "Range", "Expand", "Tile", "Pad", "Reshape", "Einsum", "LSTM", "Split", "own"])
FLOATS = st.sampled_from([0.0, -1.0, 1e30, float("inf"), float("nan")])


def _list_messages(message: Any) -> list[Any]:
    found = [message]
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if hasattr(value, "ListFields") else value:
                found += _list_messages(one)
    return found


def _change_field(model: onnx.ModelProto, data: st.DataObject) -> None:
    """Give one field of one message in *model* another value, or let a message stand twice or not at all."""
    message = data.draw(st.sampled_from([one for one in _list_messages(model) if one.ListFields()]))
    field, value = data.draw(st.sampled_from(message.ListFields()))
    repeated = not isinstance(value, int | float | str | bytes) and not hasattr(value, "ListFields")
    if field.message_type is not None:
        if repeated and data.draw(st.booleans()):
            value.add().CopyFrom(type(value[0]).FromString(data.draw(st.sampled_from(list(value))).SerializeToString()))
        elif repeated:
            del value[data.draw(st.integers(0, len(value) - 1))]
        else:
            message.ClearField(field.name)
        return
    kinds = {field.CPPTYPE_STRING: WORDS, field.CPPTYPE_FLOAT: FLOATS, field.CPPTYPE_DOUBLE: FLOATS}
    drawn = data.draw(st.binary(max_size=16) if field.type == field.TYPE_BYTES else kinds.get(field.cpp_type, NUMBERS))
    if isinstance(drawn, int):
        small = field.cpp_type not in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
        drawn = drawn % (1 << 31) if small else drawn % (1 << 63) if field.cpp_type == field.CPPTYPE_UINT64 else drawn
    if field.cpp_type == field.CPPTYPE_ENUM:
        drawn = data.draw(st.sampled_from([one.number for one in field.enum_type.values]))
    if repeated:
        value[data.draw(st.integers(0, len(value) - 1))] = drawn
    else:
        setattr(message, field.name, drawn)


def _damage(data: st.DataObject) -> bytes:
    """One file of the corpus, cut, with bits flipped, with a piece of another one in it, or with fields changed."""
    given_bytes = data.draw(st.sampled_from(CORPUS))
    how = data.draw(st.sampled_from(["cut", "flip", "splice", "field", "field", "field"]))
    if how == "field":
        model = onnx.ModelProto.FromString(given_bytes)
        for _ in range(data.draw(st.integers(1, 3))):
            _change_field(model, data)
        return model.SerializeToString()
    place = data.draw(st.integers(0, len(given_bytes) - 1))
    if how == "cut":
        return given_bytes[:place]
    if how == "splice":
        other = data.draw(st.sampled_from(CORPUS))
        start = data.draw(st.integers(0, len(other) - 1))
        return given_bytes[:place] + other[start : start + data.draw(st.integers(1, 512))] + given_bytes[place:]
    damaged = bytearray(given_bytes)
    for at in [place, *data.draw(st.lists(st.integers(0, len(given_bytes) - 1), max_size=8))]:
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    return bytes(damaged)


def _read_in_child(path: Path, then: Callable[[Path], None] | None = None) -> int:
    """READ or REFUSED, as a child finds that is bounded like the one of make_hub; *then* goes on with the hub there."""
    limits = limit_reading(path.stat().st_size)
    child = os.fork()
    if child == 0:
        os._exit(_judge(path, limits, then))
    deadline = time.monotonic() + DEADLINE_S
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _judge(path: Path, limits: Limits, then: Callable[[Path], None] | None) -> int:
    log = os.open(path.with_name("log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        confine(Limits(limits.memory + (4 << 30 if then else 0), limits.seconds))
        hub = path.with_name("hub.onnx")
        reply = answer(HubRequest(path=str(path), hub=str(hub), subject=str(path)), limits)
        if isinstance(reply, Refused):
            return REFUSED if reply.kind == "InputError" and str(path) in reply.subject and reply.remedy else WRONG
        if then is not None:
            then(hub)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent is to hear of it
        os.write(2, traceback.format_exc().encode())
        return WRONG
    return READ if type(reply).decode(reply.encode()) == reply else WRONG


def _check_damaged(data: st.DataObject, directory: Path, then: Callable[[Path], None] | None = None) -> int:
    path = directory / "given.onnx"
    path.write_bytes(_damage(data))
    outcome = _read_in_child(path, then)
    assert outcome in (READ, REFUSED), f"reading it ended with {outcome}: {path.with_name('log').read_text()}"
    return outcome


CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_every_file_of_the_corpus_is_read(tmp_path) -> None:
    """Undamaged, each file is a model: what is refused below is refused for its damage."""
    for data in CORPUS:
        (tmp_path / "given.onnx").write_bytes(data)
        assert _read_in_child(tmp_path / "given.onnx") == READ


def test_damaged_files_are_read_or_refused(tmp_path) -> None:
    """Whatever is damaged, reading ends well or in words, and both happen."""
    outcomes = set()

    @settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        outcomes.add(_check_damaged(data, tmp_path))

    check()
    assert outcomes == {READ, REFUSED}


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_many_more_damaged_files_go_through_every_native_reader(tmp_path) -> None:
    """Thousands of files, others each time: what is read goes on through onnxslim and OpenVINO, and neither dies of it."""
    # Here, since each child is a copy of this process and need not import them again.
    import onnxslim  # noqa: F401 - Slim uses it
    import openvino

    from edgekit_converters.passes.slim import Slim

    def go_on(hub: Path) -> None:
        Slim().run(onnx.load(hub))
        try:
            openvino.convert_model(hub)
        except Exception as error:  # noqa: BLE001 - what OpenVINO cannot express it says with many classes; only death is wrong
            assert str(error)

    @settings(max_examples=5000, deadline=None, database=None, suppress_health_check=CHECKS)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        _check_damaged(data, tmp_path, go_on)

    check()


#: Runs a command and prints the most memory, in KiB, that it or a child of its took. The kernel counts for a new program also
#: what the process took that it was forked from (setmax_mm_hiwater_rss in fs/exec.c): this one is small, the tests' own is not.
WEIGHED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
raise SystemExit(code)
"""


def _convert(model: Path, *options: str) -> tuple[int, str, float]:
    """The exit code of ``edgekit convert``, what it said, and the most memory that it or a child of its took, in MiB."""
    command = [sys.executable, "-m", "edgekit", "convert", str(model), "-o", str(model.parent / "bundle"), "--to", "onnx", *options]
    done = subprocess.run([sys.executable, "-c", WEIGHED, *command], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, int(done.stdout) / 1024


def _write_nested(path: Path) -> None:
    """Graphs in graphs, twenty thousand deep: GraphProto.node = 1, NodeProto.attribute = 5, AttributeProto.g = 6 (onnx.proto)."""
    inner = b""
    for _ in range(20_000):
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            inner = tag + _encode_varint(len(inner)) + inner
    path.write_bytes(b"\x08\x08\x3a" + _encode_varint(len(inner)) + inner + b"\x42\x02\x10\x11")


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _write_truncated(path: Path) -> None:
    path.write_bytes(REAL[0].read_bytes()[:-1000])


def _write_flipped(path: Path) -> None:
    path.write_bytes(REAL[0].read_bytes().replace(b"Conv", b"Cojv"))


def _write_cyclic(path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Relu", ["b"], ["y"])]
    path.write_bytes(_graph(nodes).SerializeToString())


def _write_terabytes(path: Path) -> None:
    path.write_bytes(_graph(_summed(helper.make_node("ConstantOfShape", ["s"], ["c"])), {"s": np.array([1 << 40])}).SerializeToString())


def _write_terabytes_when_run(path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Mul", ["s", "k"], ["t"]),
        *_summed(helper.make_node("ConstantOfShape", ["t"], ["c"])),
    ]
    path.write_bytes(_graph(nodes, {"k": np.array([1 << 20, 1 << 18])}).SerializeToString())


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (_write_nested, "cannot be parsed"),
        (_write_truncated, "cannot be parsed"),
        (_write_flipped, "Cojv"),
        (_write_cyclic, "not valid ONNX"),
        (_write_terabytes, "limit"),
        (_write_terabytes_when_run, "does not run"),
    ],
)
def test_command_ends_with_code_2_and_little_memory(write, said, tmp_path) -> None:
    """Truncated, flipped, cyclic, nested and absurdly large models end the command in words that name the file."""
    model = tmp_path / "given.onnx"
    write(model)
    code, words, memory = _convert(model)
    assert code == 2, words
    assert f"error: {model}: " in words
    assert said in words
    assert memory < 1024
    assert not (tmp_path / "bundle").exists()


@pytest.mark.heavy
def test_loop_without_end_is_ended(tmp_path) -> None:
    """A model that never answers is ended when its time is up, and one whose loop doubles its memory when that is used up."""
    model = tmp_path / "given.onnx"
    model.write_bytes(_looping(60).SerializeToString())
    code, words, memory = _convert(model)
    assert (code, "does not run" in words) == (2, True)
    assert memory < 5 << 10
