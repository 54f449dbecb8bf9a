"""Directories as transformers saves models: the classes that transformers itself has, with weights from safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import safe_open

from edgekit.arrays import Arrays
from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_converters.huggingface_tasks import Task, describe_inputs, find_task, find_vocabulary, read_preprocessing
from edgekit_converters.torch_exporting import ExportRequest
from edgekit_converters.torch_worker.examples import match_example
from edgekit_converters.torch_worker.models import TorchModel
from edgekit_converters.torch_worker.sampling import COUNT, TYPICAL_SIZE, draw_samples, is_telling

_SEED = 20
#: Answers of a language model to the fewest golden samples should take no more, in bytes.
_ANSWER_BYTES = 64 << 20
_FEWEST, _FLOAT_BYTES, _SHORTEST = 32, 4, 4
_IDS, _MASK = "input_ids", "attention_mask"


def load_directory(request: ExportRequest) -> TorchModel:
    """The model in the directory *request.source*.

    Raises:
        InputError: transformers has no such class, cannot read it, or finds weights missing.
    """
    path = Path(request.source)
    module = _load(path, request.subject)
    config = module.config.to_dict()
    task = find_task(type(module).__name__, request.subject)
    specs = describe_inputs(config, module.main_input_name, read_preprocessing(path), request.subject)
    specs = _override(specs, request)
    example = match_example(request, specs)
    text = specs[0].name == _IDS
    limit = find_length(config)
    return TorchModel(
        module=module,
        inputs=specs,
        call=_bind(specs, {"use_cache": False} if task.has_cache else {}),
        samples=_draw_tokens(specs, config, task) if text and example is None else draw_samples(specs, example),
        typical=is_telling(specs, example),
        fields=task.outputs,
        limits={"sequence": limit} if text and limit else None,
    )


def _load(path: Path, subject: str) -> Any:
    transformers.utils.logging.set_verbosity_error()
    try:
        config = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        kind = getattr(transformers, (config.architectures or [""])[0])
        module, found = _read_weights(kind, config, path)
    except Exception as error:
        # transformers raises what each of its models and each missing package makes it raise.
        words = " ".join(str(error).split())[:400]
        raise InputError(subject, f"transformers {transformers.__version__} cannot read it: {type(error).__name__}: {words}", _SAVE) from error
    if found["missing_keys"]:
        names = sorted(found["missing_keys"])
        raise InputError(subject, f"its files lack {len(names)} of the weights, such as {names[0]!r}, which would be random", _SAVE)
    return module.eval().requires_grad_(requires_grad=False)


def _read_weights(kind: Any, config: Any, path: Path) -> tuple[Any, dict[str, Any]]:
    """A model of the class *kind* with the weights in *path*, and what transformers notes of them."""
    given = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}
    try:
        module, found = kind.from_pretrained(path, config=config, dtype=torch.float32, output_loading_info=True, **given)
    except RuntimeError as error:
        # transformers points to a report in its log.
        mismatch = find_mismatch(kind, config, path)
        if mismatch is None:
            raise
        raise ValueError(mismatch) from error
    return module, found


def find_mismatch(kind: Any, config: Any, path: Path) -> str | None:
    """Which weight in *path* has another shape than *kind* wants by its *config*; None where none has."""
    with torch.device("meta"):
        wanted = {name: list(tensor.shape) for name, tensor in kind(config).state_dict().items()}
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no dictionary
                shape = weights.get_slice(name).get_shape()
                if wanted.get(name, shape) != shape:
                    return f"its weight {name!r} has the shape {shape}, and config.json asks for {wanted[name]}"
    return None


_SAVE = "Save it again with model.save_pretrained(directory), with a version of transformers that has this model."


def find_length(config: dict[str, Any]) -> int | None:
    """The longest sequence that the model has positions for, where it says so."""
    for key in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if isinstance(config.get(key), int) and config[key] > 0:
            return int(config[key])
    return None


def _override(specs: tuple[TensorSpec, ...], request: ExportRequest) -> tuple[TensorSpec, ...]:
    """*specs* with what the user says of them: another size of pictures, for models that take any."""
    given = {spec.name: spec for spec in request.inputs}
    for spec in given.values():
        own = next((one for one in specs if one.name == spec.name), None)
        if own is None or own.dtype != spec.dtype or len(own.shape) != len(spec.shape):
            known = "; ".join(map(str, specs))
            raise InputError(request.subject, f"--input describes {spec}, and the model takes {known}", "Leave it out, or change sizes alone.")
    return tuple(given.get(spec.name, spec) for spec in specs)


def _bind(specs: Sequence[TensorSpec], constants: dict[str, Any]) -> Any:
    names = [spec.name for spec in specs]
    return lambda module, tensors: module(**dict(zip(names, tensors, strict=True)), **constants)


def _draw_tokens(specs: Sequence[TensorSpec], config: dict[str, Any], task: Task) -> Arrays:
    """Seeded sentences: tokens from the whole vocabulary, of different lengths, the rest masked."""
    rng = np.random.default_rng(_SEED)
    vocabulary = find_vocabulary(config)
    length = find_length(config) or TYPICAL_SIZE
    if task.has_cache:
        length = min(length, max(_SHORTEST, _ANSWER_BYTES // (_FEWEST * _FLOAT_BYTES * vocabulary)))
    length = min(length, TYPICAL_SIZE)
    ids = rng.integers(0, vocabulary, (COUNT, length))
    lengths = rng.integers((length + 1) // 2, length + 1, COUNT)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    padding = config.get("pad_token_id")
    ids = np.where(mask == 1, ids, padding if isinstance(padding, int) and 0 <= padding < vocabulary else 0)
    arrays = {_IDS: ids.astype(np.int64), _MASK: mask}
    return {spec.name: arrays[spec.name] for spec in specs}
