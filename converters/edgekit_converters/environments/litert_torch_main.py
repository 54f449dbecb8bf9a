"""Runs inside the environment ``litert-torch``, under its own Python: one exported program to one float32 TFLite file.

Called with two paths, the request and the response, both JSON. The request has *model* (a ``.pt2``), *output* and
*inputs*, a list with the *shape* and *dtype* of each in the program's order; the response has ``result`` with the path of
the *tflite* file and the names that its *inputs* and *outputs* have there, in the program's order, or ``error`` with a
message. Imports only litert-torch, what came with it, and the standard library.
"""

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

#: How torch.export names what it can only bring back by running code: bound C++ objects and pickled Python ones.
_CODE = ("custom_obj_", "opaque_obj_")


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """The response to *request*. What litert-torch prints goes where this process's output goes."""
    # torch.export.load asks torch.load for whole pickles, of weights that are no plain tensors; this overrules it.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    os.environ["LITERT_TORCH_SHOW_PROGRESS"] = "n"
    _refuse_code(Path(request["model"]))
    import litert_torch  # type: ignore[import-not-found]  # it is in this script's environment, not in the workstation's
    import torch  # type: ignore[import-not-found,unused-ignore]

    program = torch.export.load(request["model"])
    arguments = tuple(torch.zeros(each["shape"], dtype=getattr(torch, each["dtype"])) for each in request["inputs"])
    output = Path(request["output"]) / "litert.tflite"
    litert_torch.convert(_flatten(program), arguments).export(str(output))
    return {"tflite": str(output)} | _find_names(output)


def _refuse_code(model: Path) -> None:
    with zipfile.ZipFile(model) as archive:
        found = [name for name in archive.namelist() if name.rpartition("/")[2].startswith(_CODE)]
    if found:
        raise ValueError(f"it holds {found[0]}, an object that is brought back by running code of the file")


def _flatten(program: Any) -> Any:
    """*program* as a module that takes and gives tensors one after the other, however they were nested."""
    import torch
    from torch.utils import _pytree as pytree  # type: ignore[import-not-found,unused-ignore]

    class Flat(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.program = program.module()

        def forward(self, *flat: Any) -> tuple[Any, ...]:
            args, kwargs = pytree.tree_unflatten(list(flat), program.call_spec.in_spec)
            return tuple(pytree.tree_leaves(self.program(*args, **kwargs)))

    module = Flat()
    # An exported program has no modes, and refuses to be set to one; litert-torch only looks at the flag.
    module.training = False
    return module


def _find_names(path: Path) -> dict[str, list[str]]:
    """The names of the tensors at the borders of the file at *path*, in the program's order."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path)).get_signature_runner()
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    # litert-torch calls them so, and the runner lists them by the alphabet: args_10 before args_2.
    return {
        "inputs": [inputs[f"args_{index}"]["name"] for index in range(len(inputs))],
        "outputs": [outputs[f"output_{index}"]["name"] for index in range(len(outputs))],
    }


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """``result`` or ``error`` for *request*; torch, jax and MLIR raise errors that have no common root."""
    try:
        return {"result": convert(request)}
    except Exception as error:  # noqa: BLE001 - every failure goes to the caller, who tells it
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer the request at the first path with a file at the second."""
    request_path, response_path = map(Path, sys.argv[1:])
    response = answer(json.loads(request_path.read_text(encoding="utf-8")))
    response_path.write_text(json.dumps(response), encoding="utf-8")


if __name__ == "__main__":
    main()
