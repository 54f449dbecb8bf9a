import os
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import InputError
from edgekit.files import digest_file
from edgekit.inspection import describe_model, find_format, inspect_model

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"
AFFINE = Path(__file__).parent / "runtimes" / "data" / "affine.tflite"


def test_an_onnx_file_is_described():
    """An ONNX model gives its tensors as ONNX Runtime sees them, its operators, and the digest of its file."""
    pytest.importorskip("onnx")
    description = describe_model(DIGITS)
    assert description.format == "onnx"
    assert [str(spec) for spec in description.inputs] == ["image: float32[batch, 1, 8, 8]"]
    assert [str(spec) for spec in description.outputs] == ["logits: float32[batch, 10]"]
    assert description.operators["Conv"] == 3
    assert [(file.name, file.digest) for file in description.files] == [("digits.onnx", digest_file(DIGITS))]
    assert description.unknown == ()


def test_a_tflite_file_is_described():
    """A TFLite model gives its operators by their names in the schema."""
    pytest.importorskip("ai_edge_litert")
    description = describe_model(AFFINE)
    assert description.format == "tflite"
    assert description.inputs
    assert sum(description.operators.values()) >= 1
    assert all(name.isupper() for name in description.operators)


def test_an_openvino_model_is_described_with_its_weights(tmp_path):
    """OpenVINO's two files are counted together."""
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().read_model(DIGITS)
    openvino.save_model(model, tmp_path / "model.xml", compress_to_fp16=False)
    description = describe_model(tmp_path / "model.xml")
    assert description.format == "openvino"
    assert [file.name for file in description.files] == ["model.xml", "model.bin"]
    assert description.size == sum((tmp_path / name).stat().st_size for name in ("model.xml", "model.bin"))
    assert description.operators["Convolution"] == 3


def save(onnx, path, nodes, initializers=()):
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, ["batch", 3]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def test_operators_in_branches_are_counted(tmp_path):
    """The operators inside an If node's branches are counted with the others."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto
    y = helper.make_tensor_value_info("y", kind.FLOAT, ["batch", 3])
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node(type_, ["x"], ["y"])], name, [], [y])
        for name, type_ in (("then", "Relu"), ("else", "Neg"))
    }
    nodes = [helper.make_node("If", ["c"], ["y"], **branches)]
    save(onnx, tmp_path / "m.onnx", nodes, [helper.make_tensor("c", kind.BOOL, [], [True])])
    assert describe_model(tmp_path / "m.onnx").operators == {"If": 1, "Relu": 1, "Neg": 1}


def test_external_weights_are_counted_and_must_lie_beside(tmp_path):
    """Weights in a file beside the model belong to its size; a path that climbs out of its directory is refused."""
    onnx = pytest.importorskip("onnx")
    weights = onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")
    nodes = [onnx.helper.make_node("Add", ["x", "w"], ["y"])]
    save(onnx, tmp_path / "m.onnx", nodes, [weights])
    model = onnx.load(tmp_path / "m.onnx")
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert [file.name for file in describe_model(tmp_path / "m.onnx").files] == ["m.onnx", "m.data"]

    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    next(entry for entry in model.graph.initializer[0].external_data if entry.key == "location").value = "../secret"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError):
        describe_model(tmp_path / "m.onnx")


def test_a_format_is_known_by_its_bytes(tmp_path):
    """A TFLite file is one whatever its name; text called .onnx is not a model."""
    (tmp_path / "model.bin").write_bytes(AFFINE.read_bytes())
    assert find_format(tmp_path / "model.bin") == "tflite"
    (tmp_path / "model.onnx").write_text("not a model")
    with pytest.raises(InputError, match="text"):
        find_format(tmp_path / "model.onnx")


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_truncated_model_is_refused(cut, tmp_path):
    """A model that lost its end is refused with its path."""
    data = DIGITS.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(InputError, match=r"cut\.onnx"):
        describe_model(tmp_path / "cut.onnx")


def test_without_a_runtime_the_rest_is_still_told(monkeypatch):
    """Where no runtime is installed, the tensors are unknown and the reason is given; the digest is there."""
    monkeypatch.setattr("edgekit.runtimes.registry.find_runtimes", dict)
    description = describe_model(DIGITS)
    assert description.inputs is None
    assert description.files[0].digest == digest_file(DIGITS)
    assert "pip install 'edgekit[onnx]'" in description.unknown[0]


def test_a_pipe_is_refused_at_once(tmp_path):
    """Nobody waits for the other end of a pipe."""
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"model\.onnx: it is a pipe"):
        describe_model(tmp_path / "model.onnx")


def test_a_process_of_its_own_tells_the_same():
    """What the other process tells of a model is what is told here."""
    assert inspect_model(DIGITS) == describe_model(DIGITS)


def test_a_refusal_comes_back(tmp_path):
    """What the other process refuses is refused here in its words."""
    (tmp_path / "cut.onnx").write_bytes(DIGITS.read_bytes()[:5000])
    refused = []
    for read in (describe_model, inspect_model):
        with pytest.raises(InputError) as caught:
            read(tmp_path / "cut.onnx")
        refused.append(str(caught.value))
    assert refused[0] == refused[1]


def test_a_crash_takes_nobody_away(tmp_path, monkeypatch):
    """Where a runtime crashes on a file, that is the file's fault, and is told in a sentence."""
    script = tmp_path / "crash.py"
    script.write_text("import os\nos.abort()\n")
    monkeypatch.setattr("edgekit.inspection._WORKER", script)
    with pytest.raises(InputError, match=r"digits\.onnx: it cannot be read: it was ended by SIGABRT"):
        inspect_model(DIGITS)
