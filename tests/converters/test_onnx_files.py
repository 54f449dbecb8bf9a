"""ONNX files from anybody: refused in words, never a crash, and never a file beside the model's directory."""

import os
import pickle
import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import InputError
from edgekit_converters.onnx_files import read_model


def _write(tmp_path, model: onnx.ModelProto):
    path = tmp_path / "given.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _with_external(model: onnx.ModelProto, location: str) -> onnx.ModelProto:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"just some words\n", "text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (pickle.dumps({"weights": [1.0]}), "pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "Keras"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(64), "TFLite"),
        (b'<?xml version="1.0"?><net name="m" version="11"></net>', "OpenVINO"),
        (bytes(range(256)), "not an ONNX model"),
    ],
)
def test_other_files_are_told_by_what_they_are(data, said, tmp_path) -> None:
    """A file of another kind is refused with its kind, or as no ONNX."""
    path = tmp_path / "given.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_model(path)


def test_directory_is_refused(tmp_path) -> None:
    """A directory in the model's place is refused as one."""
    with pytest.raises(InputError, match="directory"):
        read_model(tmp_path)


def test_missing_file_is_refused(tmp_path) -> None:
    """A path that leads nowhere is refused with the system's reason."""
    with pytest.raises(InputError, match="No such file"):
        read_model(tmp_path / "absent.onnx")


def test_truncated_file_is_refused_at_every_length(make_conv, tmp_path) -> None:
    """Cut anywhere, a model is refused."""
    data = make_conv(classes=3).SerializeToString()
    path = tmp_path / "given.onnx"
    # The graph's name stands in the first bytes, and the opset, without which nothing is a model, in the last.
    for length in range(1, len(data) - 1, 97):
        path.write_bytes(data[:length])
        with pytest.raises(InputError):
            read_model(path)


def test_damaged_bytes_are_read_or_refused(make_conv, tmp_path) -> None:
    """Whatever bits are flipped, the file is read or refused in words; nothing else happens."""
    data, rng, outcomes = make_conv(classes=3).SerializeToString(), random.Random(3), set()
    path = tmp_path / "given.onnx"
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            read_model(path)
            outcomes.add("read")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_cycle_is_refused(make_model, tmp_path) -> None:
    """A graph whose operators wait for one another is refused."""
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Relu", ["b"], ["y"])]
    with pytest.raises(InputError, match="not valid ONNX"):
        read_model(_write(tmp_path, make_model(nodes, {"x": [4]}, {"y": [4]})))


@pytest.mark.parametrize("shape", [[1 << 20, 1 << 20], [1 << 62]])
def test_absurd_size_is_refused(shape, make_model, tmp_path) -> None:
    """A tensor that no machine could hold is refused before anybody asks for its memory."""
    with pytest.raises(InputError, match="limit"):
        read_model(_write(tmp_path, make_model([helper.make_node("Relu", ["x"], ["y"])], {"x": shape}, {"y": shape})))


@pytest.mark.parametrize("listed", [False, True])
def test_large_weights_are_no_large_inputs(listed, make_model, tmp_path, monkeypatch) -> None:
    """A table of many words is larger than any input may be, also where an old file lists it among its inputs."""
    monkeypatch.setattr("edgekit_converters.onnx_files.MAX_BORDER_ELEMENTS", 1 << 10)
    table = np.zeros((1 << 10, 4), np.float32)
    model = make_model([helper.make_node("MatMul", ["x", "table"], ["y"])], {"x": ["n", 1 << 10]}, {"y": ["n", 4]}, {"table": table})
    if listed:
        model.graph.input.append(helper.make_tensor_value_info("table", TensorProto.FLOAT, table.shape))
    onnx.save(model, tmp_path / "m.onnx")
    assert read_model(tmp_path / "m.onnx").graph.initializer[0].name == "table"


def test_weights_that_are_not_what_their_shape_says_are_refused(make_conv, tmp_path) -> None:
    """Weights with fewer bytes than their shape needs are refused by name."""
    model = make_conv()
    model.graph.initializer[0].dims[0] = 1 << 40
    with pytest.raises(InputError, match="'first'"):
        read_model(_write(tmp_path, model))


def test_sparse_weights_are_refused(make_conv, tmp_path) -> None:
    """Sparse weights, a few bytes that may stand for terabytes, are refused."""
    model = make_conv()
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64)), [1 << 50]))
    with pytest.raises(InputError, match="sparse"):
        read_model(_write(tmp_path, model))


def test_operator_of_another_domain_is_named(make_model, tmp_path) -> None:
    """An operator that no runtime here has is refused by name and domain."""
    model = make_model([helper.make_node("Wobble", ["x"], ["y"], domain="my.ops")], {"x": [4]}, {"y": [4]})
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    with pytest.raises(InputError, match=r"'Wobble'.*'my.ops'"):
        read_model(_write(tmp_path, model))


def test_operator_of_another_domain_is_found_in_a_branch(make_model, tmp_path) -> None:
    """The bodies of branches are looked into as well."""
    inner = helper.make_graph(
        [helper.make_node("Wobble", ["x"], ["z"], domain="my.ops")], "inner", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [4])]
    )
    nodes = [helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)]
    model = make_model(nodes, {"x": [4]}, {"y": [4]}, {"yes": np.array(True)})
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    with pytest.raises(InputError, match="Wobble"):
        read_model(_write(tmp_path, model))


def test_unknown_operator_is_named(make_model, tmp_path) -> None:
    """An operator that ONNX does not have is refused by name."""
    with pytest.raises(InputError, match="Frobnicate"):
        read_model(_write(tmp_path, make_model([helper.make_node("Frobnicate", ["x"], ["y"])], {"x": [4]}, {"y": [4]})))


def test_old_opset_is_refused_with_the_way_out(make_conv, tmp_path) -> None:
    """An opset older than 11 is refused, and told how it is converted."""
    model = make_conv()
    model.opset_import[0].version = 9
    with pytest.raises(InputError, match="convert_version"):
        read_model(_write(tmp_path, model))


def test_weights_beside_the_model_are_read(make_conv, tmp_path) -> None:
    """Weights in a file of their own, in the model's directory, become part of the model."""
    model = make_conv()
    wanted = numpy_helper.to_array(model.graph.initializer[0])
    onnx.save(model, tmp_path / "given.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    found = read_model(tmp_path / "given.onnx")
    assert all(tensor.data_location != TensorProto.EXTERNAL for tensor in found.graph.initializer)
    np.testing.assert_array_equal(numpy_helper.to_array(found.graph.initializer[0]), wanted)


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret", "inner/../../secret", "C:\\secret", "..\\secret", ""])
def test_weights_elsewhere_are_not_read(location, make_conv, tmp_path) -> None:
    """A file outside of the model's directory is never opened, however its path is written."""
    directory = tmp_path / "model"
    directory.mkdir()
    (tmp_path / "secret").write_bytes(bytes(864))
    with pytest.raises(InputError, match="outside"):
        read_model(_write(directory, _with_external(make_conv(), location)))


def test_link_out_of_the_directory_is_not_followed(make_conv, tmp_path) -> None:
    """A link that leads out of the model's directory is refused as well."""
    directory = tmp_path / "model"
    directory.mkdir()
    (tmp_path / "secret").write_bytes(bytes(864))
    (directory / "weights.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="outside"):
        read_model(_write(directory, _with_external(make_conv(), "weights.bin")))


@pytest.mark.parametrize(
    ("location", "entries", "said"),
    [
        ("given.onnx", {}, "in the model itself"),
        ("pipe", {}, "no file 'pipe'"),
        (".", {}, "outside"),
        ("weights.bin", {"offset": "860", "length": "16"}, "864 bytes"),
        ("weights.bin", {"offset": "-4"}, "864 bytes"),
        ("weights.bin", {"length": "many"}, "cannot be read"),
        ("sparse.bin", {}, "at most 2 GiB"),
    ],
)
def test_weights_that_are_no_weights_are_refused(location, entries, said, make_conv, tmp_path) -> None:
    """The model itself, a pipe, a directory, bytes behind the end, and a file of terabytes are refused unread."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "weights.bin").write_bytes(bytes(864))
    with (tmp_path / "sparse.bin").open("wb") as file:
        file.truncate(1 << 40)
    model = _with_external(make_conv(), location)
    for key, value in entries.items():
        model.graph.initializer[0].external_data.add(key=key, value=value)
    with pytest.raises(InputError, match=said):
        read_model(_write(tmp_path, model))


def test_bytes_of_weights_are_announced_before_they_are_read(make_conv, tmp_path) -> None:
    """Whoever bounds the reading learns how much more there is to read."""
    announced = []
    onnx.save(make_conv(), tmp_path / "given.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    read_model(tmp_path / "given.onnx", announced.append)
    assert announced == [sum(numpy_helper.to_array(tensor).nbytes for tensor in make_conv().graph.initializer)]


def test_name_that_is_not_text_is_refused(make_conv, tmp_path) -> None:
    """Bytes that are no UTF-8 in the place of a name, which protobuf lets pass, are refused with the field."""
    path = tmp_path / "given.onnx"
    path.write_bytes(make_conv().SerializeToString().replace(b"features", b"feature\xff"))
    with pytest.raises(InputError, match=r"onnx\.\w+\.\w+ is not UTF-8"):
        read_model(path)


def test_how_it_was_trained_is_left_out(make_conv, tmp_path) -> None:
    """Graphs for training, which may be as large as the model, do not reach a device."""
    model = make_conv()
    model.training_info.add().algorithm.CopyFrom(model.graph)
    assert not read_model(_write(tmp_path, model)).training_info


def test_missing_weights_are_told(make_conv, tmp_path) -> None:
    """Where the weights' file is not beside the model, the refusal says so."""
    with pytest.raises(InputError, match="another file"):
        read_model(_write(tmp_path, _with_external(make_conv(), "weights.bin")))
