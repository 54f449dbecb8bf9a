"""OpenVINO IR is looked at before OpenVINO reads it: what is not whole, or not to be trusted, is refused by name."""

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.runtimes.openvino_file import MAX_XML_BYTES, check_openvino

GRAPH = """<?xml version="1.0"?>
<net name="m" version="11">
  <layers>
    <layer id="0" name="x" type="Parameter" version="opset1">
      <data shape="?,4" element_type="f32"/>
      <output><port id="0" precision="FP32" names="x"><dim>-1</dim><dim>4</dim></port></output>
    </layer>
    <layer id="1" name="w" type="Const" version="opset1">
      <data element_type="f16" shape="4, 3" offset="8" size="24"/>
      <output><port id="0" precision="FP16"><dim>4</dim><dim>3</dim></port></output>
    </layer>
    <layer id="2" name="axis" type="Const" version="opset1"><data element_type="i64" shape="" offset="0" size="8"/></layer>
  </layers>
  <rt_info><runtime_options><DYNAMIC_QUANTIZATION_GROUP_SIZE value="32"/></runtime_options></rt_info>
</net>
"""


def _write(directory: Path, graph: str, weights: int | None = 32) -> Path:
    path = directory / "model.xml"
    path.write_text(graph)
    if weights is not None:
        path.with_suffix(".bin").write_bytes(bytes(weights))
    return path


def test_outline_tells_layers_weights_and_options(tmp_path) -> None:
    """Layers are counted by type, weights by the type of their elements, and the options for the runtime are read."""
    outline = check_openvino(_write(tmp_path, GRAPH))
    assert outline.layers == {"Parameter": 1, "Const": 2}
    assert outline.elements == {"f16": 12, "i64": 1}
    assert outline.weights == "f16"
    assert outline.options == {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "32"}


def test_indices_are_no_weights(tmp_path) -> None:
    """A model whose only constants are indices counts as one in single precision."""
    indices = GRAPH.replace('"f16"', '"i32"').replace('size="24"', 'size="48"')
    assert check_openvino(_write(tmp_path, indices, 56)).weights == "f32"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("<net name", '<!DOCTYPE net [<!ENTITY a "aaaa">]><net name', "declares a document type"),
        ('version="11"', 'version="7"', "of version '7'"),
        ("<net", "<graph", "the root <graph>"),
        ("</net>", "", "not whole OpenVINO IR"),
        ('version="opset1"><data element_type="i64"', 'version="extension"><data element_type="i64"', "custom operators"),
        ('offset="8" size="24"', 'offset="9" size="24"', "ends at byte 33 of model.bin, which has 32"),
        ('offset="8" size="24"', 'offset="-8" size="24"', "where a size is expected"),
        ('offset="8" size="24"', 'offset="18446744073709551608" size="24"', "where a size is expected"),
        ('offset="8" size="24"', 'offset="8" size="4"', "its shape needs 24"),
        ('shape="4, 3"', 'shape="4, 3000000000000"', "12000000000000 elements"),
        ('shape="4, 3"', 'shape="4, three"', "where a size is expected"),
        ("<dim>3</dim>", "<dim>3000000000</dim>", "elements, and the limit is"),
        ("<dim>3</dim>", "<dim>-3</dim>", "where a size is expected"),
        ("<dim>3</dim>", f"<dim>{'9' * 5000}</dim>", "where a size is expected"),
        ('shape="?,4"', 'shape="?,4000000000"', "elements, and the limit is"),
        ('element_type="f16"', 'element_type="f17"', "the unknown type 'f17'"),
        ("<rt_info>", '<rt_info><__weights_path value="/etc/passwd"/>', "names a file for its weights"),
    ],
)
def test_what_cannot_be_trusted_is_refused(tmp_path, old, new, problem) -> None:
    """Entities, custom operators, sizes that no machine holds and places outside of the weights are refused by name."""
    assert old in GRAPH
    with pytest.raises(InputError, match=r"model\.xml") as refusal:
        check_openvino(_write(tmp_path, GRAPH.replace(old, new)))
    assert problem in refusal.value.problem


def test_missing_weights_are_named(tmp_path) -> None:
    """Where the .bin is not there, its name is told."""
    with pytest.raises(InputError, match=r"there is no model\.bin"):
        check_openvino(_write(tmp_path, GRAPH, weights=None))


def test_a_claimed_encoding_is_not_looked_up(tmp_path) -> None:
    """A file that claims an encoding is read as UTF-8 all the same, so no codec of that name is imported."""
    claimed = GRAPH.replace('version="1.0"?', 'version="1.0" encoding="zlib_codec"?')
    assert check_openvino(_write(tmp_path, claimed)).layers["Parameter"] == 1


def test_nesting_is_bounded(tmp_path) -> None:
    """Bodies inside bodies are read to a bounded depth."""
    deep = GRAPH.replace("<layers>", "<layers>" + "<body>" * 300).replace("</layers>", "</body>" * 300 + "</layers>")
    with pytest.raises(InputError, match="deep inside one another"):
        check_openvino(_write(tmp_path, deep))


def test_a_graph_without_bound_is_not_read(tmp_path) -> None:
    """A file that is longer than any graph is refused before it is read."""
    path = _write(tmp_path, GRAPH)
    with path.open("r+b") as file:
        file.truncate(MAX_XML_BYTES + 1)
    with pytest.raises(InputError, match="64 MiB"):
        check_openvino(path)


def test_what_is_not_xml_is_told_so(tmp_path) -> None:
    """A picture under the name of a graph is no IR."""
    with pytest.raises(InputError, match="begins with"):
        check_openvino(_write(tmp_path, "\x89PNG"))
