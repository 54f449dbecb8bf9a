"""Keras files before Keras sees them: what would run code, reach a file or fill the memory is refused by name."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit_converters.keras_files import check_config, read_config

PATH = Path("model.keras")


def make_model(*layers: dict[str, Any]) -> str:
    return json.dumps(
        {"module": "keras", "class_name": "Functional", "config": {"name": "model", "layers": list(layers)}, "registered_name": "Functional"}
    )


def make_layer(kind: str, module: str | None = "keras.layers", registered: str | None = None, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {"name": "mine", **config}, "registered_name": registered}


def write_archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


DENSE = make_layer("Dense", units=10, activation="relu", kernel_initializer=make_layer("GlorotUniform", "keras.initializers", seed=None))


def test_keras_s_own_layers_pass() -> None:
    """A model of Keras's own layers, initialisers and functions is let through, in the words of Keras 3 and of Keras 2."""
    relu = make_layer("function", "builtins", "relu")
    called = {"class_name": "TFOpLambda", "config": {"name": "tf.nn.relu", "function": "nn.relu"}}
    lookup = make_layer("StringLookup", vocabulary=["a", "b"])
    old = {"class_name": "Dense", "config": {"name": "dense", "units": 3, "batch_input_shape": [None, 6]}}
    check_config(make_model(DENSE, relu, called, lookup, old), PATH, allow_code=False)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (make_layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}), "Lambda 'mine' has Python code in it"),
        (make_layer("Activation", activation={"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}), "__lambda__ has Python code in it"),
        (make_layer("system", "os"), "of the module 'os'"),
        (make_layer("Dense", "keras_like.layers"), "of the module 'keras_like.layers'"),
    ],
)
def test_code_is_refused_unless_it_is_allowed(layer, told) -> None:
    """What brings code is refused wherever it is in the configuration, with the option that lets it through, and then let through."""
    nested = make_model(make_layer("TimeDistributed", layer=layer))
    with pytest.raises(InputError, match=rf"{told}.*--unsafe-allow-code"):
        check_config(nested, PATH, allow_code=False)
    check_config(nested, PATH, allow_code=True)


@pytest.mark.parametrize("allow_code", [False, True])
@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (make_layer("TFSMLayer", filepath="/home/somebody/model"), "loads another model by its path"),
        (make_layer("TorchModuleWrapper"), "loads another model by its path"),
        (make_layer("Twice", None, "mine>Twice"), "class of somebody's own"),
        (make_layer("Custom>Twice", None), "class of somebody's own"),
        (make_layer("TextVectorization", vocabulary="/etc/passwd"), "from the file '/etc/passwd'"),
        (make_layer("TFOpLambda", function="io.write_file"), "calls TensorFlow's 'io.write_file'"),
        (make_layer("TFOpLambda", function="compat.v1.py_func"), "calls TensorFlow's 'compat.v1.py_func'"),
        (make_layer("TFOpLambda", function="keras.utils.get_file"), "calls TensorFlow's 'keras.utils.get_file'"),
        (make_layer("TFOpLambda", function="load_op_library"), "calls TensorFlow's 'load_op_library'"),
        (make_layer("TFOpLambda", function=None), "calls TensorFlow's None"),
        (make_layer("TensorFlowOpLayer", node_def="name: 'x'\nop: 'WriteFile'"), "a node of TensorFlow's graph"),
        (make_layer("LSTM", units=8, stateful=True), "keeps state from one call to the next"),
        (make_layer("Dense", units=1 << 60), "has the units 1152921504606846976"),
        (make_layer("InputLayer", batch_shape=[None, 1 << 50]), "has the batch_shape"),
    ],
)
def test_what_reaches_out_or_keeps_state_is_always_refused(layer, told, allow_code) -> None:
    """Layers that read files, call TensorFlow beyond arithmetic, keep state or are absurdly large are refused by name."""
    with pytest.raises(InputError, match=r"model\.keras: its .*" + told):
        check_config(make_model(DENSE, layer), PATH, allow_code=allow_code)


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "weights and no model"), ("{", "not JSON"), ("[" * 100_000, "not JSON"), ("{}", "names no layers"), ('"Dense"', "names no layers")],
)
def test_what_is_no_configuration_is_refused(text, told) -> None:
    """Weights alone, and text that is no JSON, too deep, or empty, are refused."""
    with pytest.raises(InputError, match=told):
        check_config(text, PATH, allow_code=False)


def test_the_configuration_of_an_archive_is_read(tmp_path) -> None:
    """A whole archive gives the text of its config.json."""
    path = write_archive(tmp_path / "m.keras", {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b"weights"})
    assert read_config(path) == "{}"


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"config.json": b"{}"}, "0 members called model.weights.h5"),
        ({"config.json": b"{}", "model.weights.h5": b"", "../../evil": b""}, "'../../evil' leads out of the archive"),
        ({"config.json": b"{}", "model.weights.h5": b"", "/etc/cron.d/evil": b""}, "leads out of the archive"),
        ({"config.json": b"{}", "model.weights.h5": bytes(100 << 20)}, "would unpack to 100 MiB"),
        ({"config.json": b" " * (65 << 20), "model.weights.h5": b""}, "would unpack to 65 MiB"),
        ({"config.json": b"\xff", "model.weights.h5": b""}, "not a whole Keras file"),
    ],
)
def test_hostile_archives_are_refused(members, told, tmp_path) -> None:
    """Archives that lack a part, lead out of their directory or are zip bombs are refused before anything is unpacked."""
    with pytest.raises(InputError, match=told):
        read_config(write_archive(tmp_path / "m.keras", members))


def test_compressions_that_need_much_memory_are_refused(tmp_path) -> None:
    """LZMA may ask for a dictionary of gigabytes, and Keras never writes it."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(InputError, match=r"'config\.json' is compressed"):
        read_config(path)


def test_every_cut_of_an_archive_is_refused(tmp_path) -> None:
    """An archive cut off anywhere, or that is none, is refused."""
    whole = write_archive(tmp_path / "m.keras", {"config.json": b"{}", "model.weights.h5": b"weights"}).read_bytes()
    cut = tmp_path / "cut.keras"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.keras"):
            read_config(cut)
