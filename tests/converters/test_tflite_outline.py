"""What a TFLite file says of itself, and that what it says is checked before a runtime follows it."""

import struct
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgekit.errors import InputError
from edgekit_converters.tflite_outline import describe_border, read_outline

DATA = Path(__file__).with_name("data")
RUNTIMES = Path(__file__).parents[1] / "sdk" / "runtimes" / "data"
MODELS = Path(__file__).parents[3] / "shared" / "models"


def test_borders_are_told_as_the_runtime_shows_them() -> None:
    """Names, types, sizes that may vary and quantisation of a file's inputs and outputs are those that LiteRT's adapter shows."""
    from edgekit.runtimes.litert import LiteRT

    for path in (RUNTIMES / "affine.tflite", RUNTIMES / "affine_int8.tflite", DATA / "detector.tflite", DATA / "lstm.tflite"):
        native = LiteRT().open(path, 1)
        inputs, outputs = describe_border(read_outline(path), path)
        for mine, its in zip((*inputs, *outputs), (*native.inputs, *native.outputs), strict=True):
            assert (mine.name, mine.dtype, mine.shape, mine.quantization) == (its.name, its.dtype, its.shape, its.quantization)
        native.close()


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        (RUNTIMES / "affine.tflite", ("fp32", ())),
        (RUNTIMES / "affine_int8.tflite", ("int8", ("int8",))),
        (DATA / "lstm.tflite", ("int8", ("int8",))),
        (DATA / "half.tflite", ("fp16", ("fp16",))),
        (DATA / "detector.tflite", ("fp32", ())),
        (MODELS / "mlperf-tiny-kws" / "kws_ref_model.tflite", ("int8", ("int8",))),
        (MODELS / "mlperf-tiny-kws" / "kws_ref_model_float32.tflite", ("int8", ("int8-weights",))),
        (MODELS / "mlperf-tiny-vww" / "vww_96_float.tflite", ("fp32", ())),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_numbers_are_told_from_the_tensors(path, numbers) -> None:
    """Quantised activations, integer weights and half-precision weights are told apart, whatever a file is called."""
    if not path.exists():
        pytest.skip(f"the models for tests are not here: {path}")
    assert read_outline(path).find_numbers() == numbers


def test_state_is_told_from_memory_that_is_reset() -> None:
    """A variable that an operator writes outlives a call; the variable tensor of a recurrent layer does not, since it is reset."""
    assert read_outline(DATA / "stateful.tflite").find_state() == "ASSIGN_VARIABLE"
    lstm = read_outline(DATA / "lstm.tflite")
    assert (lstm.find_state(), lstm.find_memory()) == (None, "UNIDIRECTIONAL_SEQUENCE_LSTM")
    assert read_outline(RUNTIMES / "affine.tflite").find_memory() is None


def test_variables_that_are_only_set_at_the_start_are_no_state(change) -> None:
    """A variable that is written once, before the first inference, is a constant."""

    def write_at_the_start_alone(model):
        main = model.subgraphs[0]
        kinds = {index: flatbuffer_utils.opcode_to_name(model, index) for index in range(len(model.operatorCodes))}
        main.operators = [one for one in main.operators if kinds[one.opcodeIndex] != "ASSIGN_VARIABLE"]

    outline = read_outline(change(DATA / "stateful.tflite", write_at_the_start_alone))
    assert any(one.kind == "ASSIGN_VARIABLE" for graph in outline.graphs[1:] for one in graph.operators)
    assert outline.find_state() is None


def _set_input(index):
    return lambda model: setattr(model.subgraphs[0].operators[0], "inputs", [index])


def _set_shape(shape, place=0):
    return lambda model: setattr(model.subgraphs[0].tensors[model.subgraphs[0].inputs[place]], "shape", shape)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_set_input(99), "refers to tensor 99"),
        (_set_input(-2), "refers to tensor -2"),
        (lambda model: setattr(model.subgraphs[0].operators[0], "opcodeIndex", 7), "an operator is of kind 7"),
        (lambda model: setattr(model.subgraphs[0].tensors[0], "buffer", 77), "in buffer 77"),
        (lambda model: setattr(model.subgraphs[0], "inputs", []), "no graph with inputs and outputs"),
        (lambda model: setattr(model, "subgraphs", []), "no graph with inputs and outputs"),
        (_set_shape([1, 1 << 30, 4, 3]), "elements, and the limit"),
        (_set_shape([1, -7, 4, 3]), "has the shape"),
    ],
)
def test_indices_and_sizes_that_lead_astray_are_refused(edit, told, change) -> None:
    """Each index of a file that leads to nothing, and each absurd size, is refused before any runtime has the file."""
    with pytest.raises(InputError, match=rf"changed\.tflite: .*{told}"):
        read_outline(change(DATA / "detector.tflite", edit))


def test_types_that_cannot_be_served_are_named(change) -> None:
    """A border of complex numbers is refused with its name."""
    path = change(DATA / "detector.tflite", lambda model: setattr(model.subgraphs[0].tensors[0], "type", schema.TensorType.COMPLEX64))
    with pytest.raises(InputError, match="input 'image' has the type COMPLEX64"):
        describe_border(read_outline(path), path)


def test_flipped_bytes_raise_nothing_else(tmp_path) -> None:
    """Whatever a byte of a file is changed to, it is read or refused: no other error comes out."""
    whole = (DATA / "detector.tflite").read_bytes()
    path = tmp_path / "flipped.tflite"
    refused = 0
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + struct.pack("B", whole[position] ^ 0xFF) + whole[position + 1 :])
        try:
            describe_border(read_outline(path), path)
        except InputError:
            refused += 1
    assert refused > len(whole) // 30
