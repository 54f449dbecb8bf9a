"""Exports: one batch for all inputs, torch's own answers beside them, and the reason where there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgekit.errors import InputError
from edgekit.golden import GoldenSamples
from edgekit.tensors import TensorSpec
from edgekit_converters.torch_exporting import ExportReport, ExportRequest

pytestmark = [pytest.mark.heavy, pytest.mark.torch]


def spec(name: str, *shape: int | str, dtype: Any = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


@pytest.fixture
def export(tmp_path: Path, torch):
    """What is exported of a function of tensors."""
    from edgekit_converters.torch_worker.exporting import export_model
    from edgekit_converters.torch_worker.models import TorchModel
    from edgekit_converters.torch_worker.sampling import draw_samples

    def export_function(function: Any, *specs: TensorSpec, shapes: dict[str, tuple[int | None, ...]] | None = None) -> ExportReport:
        class Module(torch.nn.Module):
            def forward(self, *tensors: Any) -> Any:
                return function(*tensors)

        model = TorchModel(module=Module().eval(), inputs=specs, call=lambda module, tensors: module(*tensors), samples=draw_samples(specs, None))
        request = ExportRequest(kind="factory", subject="net:make", source="net:make", directory=str(tmp_path), shapes=shapes or {})
        return export_model(model, request)

    return export_function


def list_shapes(report: ExportReport) -> dict[str, list[int | str]]:
    graph = onnx.load(report.onnx).graph
    return {
        value.name: [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }


def test_inputs_share_one_batch(export) -> None:
    """Inputs that nothing in the model ties together have the same symbol for their batch, by its name."""
    report = export(lambda a, b: (a * 2, b + 1), spec("a", "batch", 3), spec("b", "batch", 5))
    assert list_shapes(report) == {"a": ["batch", 3], "b": ["batch", 5], "output0": ["batch", 3], "output1": ["batch", 5]}


def test_other_sizes_vary_by_their_names(export) -> None:
    """A size that is no Python name, and one that two inputs share, keep their names."""
    report = export(lambda a, b: a @ b, spec("a", "batch", 3, "seq-len"), spec("b", "batch", "seq-len", 2))
    assert list_shapes(report) == {"a": ["batch", 3, "seq-len"], "b": ["batch", "seq-len", 2], "output0": ["batch", 3, 2]}


def test_sizes_are_fixed(export) -> None:
    """What --shape fixes is fixed in the program, in ONNX and in the samples."""
    report = export(lambda a: a + 1, spec("a", "batch", "width"), shapes={"a": (None, 7)})
    assert [one.shape for one in report.inputs] == [("batch", 7)]
    assert list_shapes(report)["output0"] == ["batch", 7]
    assert export(lambda a: a + 1, spec("a", "batch", 3), shapes={"batch": (9,)}).inputs[0].shape == (9, 3)


def test_witnesses_are_the_answers_of_torch(export) -> None:
    """At least four samples come with the answers that the module itself gives."""
    witness = GoldenSamples.decode(Path(export(lambda a: a * 3, spec("a", "batch", 4)).witness).read_bytes())
    assert witness.n >= 4
    np.testing.assert_array_equal(witness.outputs["output0"], witness.inputs["a"] * 3)


def test_an_output_that_is_an_input_has_its_own_name(export) -> None:
    """ONNX has one name for one value, so an output called like an input gets another."""
    shapes = list_shapes(export(lambda a: {"a": a * 2, "same": a}, spec("a", "batch", 4)))
    assert list(shapes) == ["a", "a_out", "same"]


def test_transformers_are_known_by_their_attention(export, torch) -> None:
    """Attention makes a transformer, by its operator or written out; a softmax at the end makes none."""
    attention = torch.nn.functional.scaled_dot_product_attention
    tokens = spec("a", "batch", 2, 4, 8)
    assert export(lambda a: attention(a, a, a), tokens).attends
    assert export(lambda a: torch.dropout(torch.softmax(a @ a.transpose(2, 3), -1), 0.1, train=False) @ a, tokens).attends
    assert not export(lambda a: torch.softmax(a, -1), tokens).attends


def test_ranges_are_found(export, torch) -> None:
    """A table of positions bounds the length, which torch finds by itself: the length varies within it."""
    table = torch.randn(20, 4)
    report = export(lambda ids: table[: ids.shape[1]] + ids[..., None], spec("ids", "batch", "length", dtype="int64"))
    assert list_shapes(report)["output0"] == ["batch", "length", 4]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda torch: lambda a: torch.stack([a[i] for i in range(a.shape[0])]), r"'batch'.*cannot vary freely.*--shape batch=2"),
        (lambda torch: lambda a: a + 1 if a.sum() > 0 else a, r"cannot trace it: .*data-dependent.*test_exporting\.py"),
        (lambda torch: lambda a: a.sum(), "no batch as its first axis"),
        (lambda torch: lambda a: None, "gives no tensors"),
        (lambda torch: lambda a: a @ a, r"cannot be run: .*a: float32\[batch, 3\]"),
        (lambda torch: lambda a: torch.linalg.svd(a[:, None, :] * a[:, :, None])[1], r"torch\.onnx cannot express it: .*linalg_svd"),
    ],
)
def test_what_cannot_be_exported_is_told(make, told, export, torch) -> None:
    """A batch that is built in, a branch on data, and what torch or ONNX does not do, are refused with the library's reason."""
    with pytest.raises(InputError, match=told):
        export(make(torch), spec("a", "batch", 3))
