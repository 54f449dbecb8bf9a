"""Exported programs: their inputs as they were exported, and what cannot be served of them."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit_converters.pt2_archives import write_clean_archive
from edgekit_converters.torch_exporting import ExportRequest

pytestmark = [pytest.mark.heavy, pytest.mark.torch]


@pytest.fixture
def load(tmp_path: Path, torch):
    """A module as it is read back, once it was exported with arguments and the sizes of them that may vary."""
    from edgekit_converters.torch_worker.programs import load_program

    def load_module(module: Any, *args: Any, dynamic_shapes: Any = None, damage: Any = None, **kwargs: Any) -> Any:
        program = torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes)
        torch.export.save(program, tmp_path / "given.pt2")
        if damage is not None:
            change_members(tmp_path / "given.pt2", damage)
        write_clean_archive(tmp_path / "given.pt2", tmp_path / "clean.pt2")
        request = ExportRequest(kind="program", subject="given.pt2", source=str(tmp_path / "clean.pt2"), directory=str(tmp_path))
        return load_program(request)

    return load_module


def change_members(path: Path, damage: Any) -> None:
    """Run *damage* on the graph and the weights, by name, of the program at *path*."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    graph = json.loads(members["given/models/model.json"])
    damage(graph, members)
    members["given/models/model.json"] = json.dumps(graph).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def make_module(torch: Any, forward: Any, **members: Any) -> Any:
    """A module in eval mode that runs *forward*, with *members* in it."""

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, member in members.items():
                setattr(self, name, member)

    Module.forward = forward
    return Module().eval()


def ask(model: Any, torch: Any) -> Any:
    return model.call(model.module, [torch.from_numpy(model.samples[spec.name]) for spec in model.inputs])


def test_inputs_keep_their_nesting_and_constants(load, torch) -> None:
    """Tensors in a list, by keyword, and a number between them: the tensors alone are inputs, and the number stays."""

    def forward(self: Any, pair: Any, factor: int, *, extra: Any = None) -> Any:
        return {"sum": pair[0] + pair[1] * factor + extra}

    model = load(make_module(torch, forward), [torch.ones(1, 3), torch.ones(1, 3)], 5, extra=torch.ones(1, 3))
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("pair_0", (1, 3)), ("pair_1", (1, 3)), ("extra", (1, 3))]
    rows = {name: torch.from_numpy(array[:1]) for name, array in model.samples.items()}
    answer = model.call(model.module, list(rows.values()))
    torch.testing.assert_close(answer["sum"], rows["pair_0"] + rows["pair_1"] * 5 + rows["extra"])


def test_sizes_that_vary_get_names_and_bounds(load, torch) -> None:
    """Symbols have no names in a file: the batch and the sequence get theirs by their place, and keep their largest size."""

    def forward(self: Any, ids: Any, mask: Any) -> Any:
        return self.table[: ids.shape[1]] + (ids * mask)[..., None]

    batch, length = torch.export.Dim("b"), torch.export.Dim("l", max=20)
    shapes = {"ids": {0: batch, 1: length}, "mask": {0: batch, 1: length}}
    ids = torch.ones(2, 7, dtype=torch.int64)
    model = load(make_module(torch, forward, table=torch.nn.Parameter(torch.ones(20, 4))), ids, ids, dynamic_shapes=shapes)
    assert [str(spec) for spec in model.inputs] == ["ids: int64[batch, sequence]", "mask: int64[batch, sequence]"]
    assert model.limits == {"sequence": 20}
    assert model.typical
    assert ask(model, torch).shape[1:] == (16, 4)


def test_programs_in_training_are_refused(load, torch) -> None:
    """A batch norm that takes the batch's own statistics, and dropout that drops, were exported in training mode."""
    norm = make_module(torch, lambda self, x: self.norm(x), norm=torch.nn.BatchNorm1d(3)).train()
    with pytest.raises(InputError, match=r"batch_norm works as in training.*model\.eval\(\)"):
        load(norm, torch.ones(2, 3))
    dropout = make_module(torch, lambda self, x: self.drop(x), drop=torch.nn.Dropout(0.5)).train()
    with pytest.raises(InputError, match=r"dropout works as in training.*model\.eval\(\)"):
        load(dropout, torch.ones(2, 3))
    own = make_module(torch, lambda self, x: self.norm(x), norm=torch.nn.BatchNorm1d(3, track_running_stats=False))
    assert load(own, torch.ones(2, 3)).inputs[0].shape == (2, 3)


def test_programs_without_inputs_are_refused(load, torch) -> None:
    """A program of constants has nothing to be asked."""
    with pytest.raises(InputError, match="no inputs"):
        load(make_module(torch, lambda self: self.table + 1, table=torch.nn.Parameter(torch.ones(3))))


def test_outputs_of_transformers_keep_their_names(load, torch) -> None:
    """An output of a class of transformers comes back as a dictionary, with no class imported for it."""
    outputs = pytest.importorskip("transformers.modeling_outputs")
    module = make_module(torch, lambda self, x: outputs.ImageClassifierOutput(logits=x + 1))
    model = load(module, torch.ones(2, 3), dynamic_shapes={"x": {0: torch.export.Dim.DYNAMIC}})
    assert list(ask(model, torch)) == ["logits"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda graph, members: members.update({"given/data/weights/weight_0": bytes(4)}), "out of bounds for storage"),
        (lambda graph, members: graph["graph_module"]["graph"]["nodes"].clear(), "KeyError"),
        (lambda graph, members: graph["schema_version"].update(major=99), "schema version"),
        (
            lambda graph, members: graph["graph_module"]["graph"]["nodes"][0].update(target="torch.ops.aten.absent.default"),
            "resolve torch.ops.aten.absent.default to an operator\\. \\(",
        ),
    ],
)
def test_damaged_programs_are_told_by_what_torch_finds(damage, told, load, torch) -> None:
    """Weights that are cut off, calls that are gone or unknown, and a newer file's version are told in torch's words."""
    module = make_module(torch, lambda self, x: x + self.table, table=torch.nn.Parameter(torch.ones(3)))
    with pytest.raises(InputError, match=rf"given\.pt2: torch\.export cannot load it: .*{told}"):
        load(module, torch.ones(2, 3), damage=damage)
