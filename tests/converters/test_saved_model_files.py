"""SavedModels before TensorFlow sees them: a walk over the file finds what would do more than compute."""

import os
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit_converters.saved_model_files import FILE, check_saved_model, list_files, read_outline

KWS = Path(__file__).parents[3] / "shared" / "models" / "mlperf-tiny-kws" / "kws_ref_model"


def encode(field: int, content: bytes | str) -> bytes:
    """A field with a length, as protobuf writes it."""
    data = content.encode() if isinstance(content, str) else content
    length = bytearray()
    size = len(data)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + data


def make_node(name: str, operator: str) -> bytes:
    return encode(1, name) + encode(2, operator) + encode(3, "input")


#: A function among the model's objects, and a table that is filled while the model is loaded.
FUNCTION, TABLE = encode(6, b""), encode(10, b"")
SIGNATURES = ("__saved_model_init_op", "serving_default")


def write_model(directory: Path, nodes=(), inner=(), signatures=SIGNATURES, objects=(FUNCTION,)) -> Path:
    """A SavedModel with *nodes* in its graph and *inner* in a function of it."""
    function = b"".join(encode(3, node) for node in inner)
    graph = b"".join(encode(1, node) for node in nodes) + encode(2, encode(1, encode(1, encode(1, "function")) + function))
    meta = encode(2, graph) + b"".join(encode(5, encode(1, name) + encode(2, b"")) for name in signatures)
    meta += encode(7, b"".join(encode(1, one) for one in objects)) if objects else b""
    directory.mkdir(exist_ok=True)
    (directory / FILE).write_bytes(b"\x08\x01" + encode(2, meta))
    return directory


def test_nodes_and_signatures_are_found(tmp_path) -> None:
    """The nodes of the graph and of its functions are told with their operators, and the signatures but for the initialiser."""
    outline = read_outline(write_model(tmp_path / "m", [make_node("a", "MatMul")], [make_node("b", "Relu")]))
    assert set(outline.nodes) == {("a", "MatMul"), ("b", "Relu")}
    assert outline.signatures == ("serving_default",)
    assert (outline.has_objects, outline.has_resources) == (True, False)


def test_only_files_of_the_model_are_its_own(tmp_path) -> None:
    """What lies beside a model, as in somebody's home, is none of its files; variables that are links to files are."""
    model = write_model(tmp_path / "m")
    (model / "variables").mkdir()
    (model / "variables" / "variables.index").symlink_to(__file__)
    (model / "thesis.txt").write_text("mine")
    assert [file.name for file in list_files(model)] == [FILE, "variables.index"]


@pytest.mark.parametrize("place", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("gone")])
def test_pipes_and_devices_are_refused(place, tmp_path) -> None:
    """A file that would never end, or never begin, is refused by its name before anybody reads it."""
    model = write_model(tmp_path / "m")
    (model / "variables").mkdir()
    place(model / "variables" / "variables.index")
    with pytest.raises(InputError, match=r"variables\.index: it is a pipe"):
        list_files(model)


def test_arithmetic_passes(tmp_path) -> None:
    """A model that computes, and has the operators of its own checkpoint, is let through."""
    check_saved_model(write_model(tmp_path / "m", [make_node("a", "MatMul")], [make_node("b", "SaveV2"), make_node("c", "RestoreV2")]))


@pytest.mark.parametrize("operator", ["EagerPyFunc", "ReadFile", "WriteFile", "PrintV2"])
@pytest.mark.parametrize("place", ["nodes", "inner"])
def test_nodes_that_do_more_are_refused(operator, place, tmp_path) -> None:
    """A node that calls Python or touches files is refused by its name, in the graph and in a function of it."""
    with pytest.raises(InputError, match=rf"its node 'deep' is a {operator}"):
        check_saved_model(write_model(tmp_path / "m", **{place: [make_node("deep", operator)]}))


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"signatures": ("__saved_model_init_op",)}, "has no signature"),
        ({"objects": (FUNCTION, TABLE)}, "lookup tables"),
        ({"objects": ()}, "TensorFlow 1"),
    ],
)
def test_what_loading_would_run_is_refused(parts, told, tmp_path) -> None:
    """Without a signature, with resources that are filled while loading, or from TensorFlow 1, a model is refused."""
    with pytest.raises(InputError, match=told):
        check_saved_model(write_model(tmp_path / "m", **parts))


def test_every_cut_is_refused(tmp_path) -> None:
    """A file cut off anywhere is refused, and so is an empty one and one that is not there."""
    directory = write_model(tmp_path / "m", [make_node("a", "MatMul")])
    whole = (directory / FILE).read_bytes()
    for length in range(len(whole)):
        (directory / FILE).write_bytes(whole[:length])
        with pytest.raises(InputError):
            check_saved_model(directory)
    (directory / FILE).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        check_saved_model(directory)


def test_a_real_model_passes_until_an_operator_is_changed(tmp_path) -> None:
    """A keyword spotter as TensorFlow saved it passes; with one operator's name changed to PyFunc it does not."""
    if not KWS.is_dir():
        pytest.skip(f"the models for tests are not here: {KWS}")
    check_saved_model(KWS)
    changed = tmp_path / FILE
    changed.write_bytes((KWS / FILE).read_bytes().replace(b"\x12\x06MatMul", b"\x12\x06PyFunc"))
    with pytest.raises(InputError, match="is a PyFunc"):
        check_saved_model(tmp_path)
