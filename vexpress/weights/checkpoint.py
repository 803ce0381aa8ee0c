"""Weight files in and out, without ever running what is in them.

A weight file is a flat dictionary of tensors: `.safetensors`, or `.bin`/`.pth` as written
by `torch.save`. The latter is a pickle, so it is only read with `weights_only=True`.
"""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from vexpress.errors import CheckpointError, first_line
from vexpress.files import READABLE, whole_file
from vexpress.weights.catalogue import SUFFIXES

_SHOWN = 8

State = dict[str, torch.Tensor]


def read_state(path: Path) -> State:
    """Read a weight file into CPU tensors. Raises CheckpointError for anything else."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: expected plain weights, found a pickle that asks for something else to be "
            "run or built; nothing of it was run. Save it again as .safetensors, or with "
            f"torch.save(module.state_dict()). ({first_line(error)})"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} ({path.stat().st_size if path.exists() else 0} bytes) cannot be read as a "
            f"weight file; it may be cut short. Fetch it again. ({first_line(error)})"
        ) from error
    if not isinstance(loaded, dict) or not all(map(_is_entry, loaded.items())):
        raise CheckpointError(
            f"{path}: expected a flat dictionary of tensors, found {_describe(loaded)}. "
            "Save module.state_dict() itself, not a training checkpoint around it."
        )
    return loaded


def write_state(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write a weight file; the suffix tells the format. Never leaves half a file."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a suffix of {SUFFIXES}")
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with whole_file(path) as partial:
        if path.suffix == ".safetensors":
            save_file(state, partial)
        else:
            with partial.open("wb") as file:  # by a path, its name would go into the archive
                torch.save(state, file)
        partial.chmod(READABLE)


def load_state(module: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Put `state` into `module`, whose tensors may be on the meta device.

    Raises CheckpointError that names every kind of difference: missing and unexpected
    keys, and shapes that do not match.
    """
    wanted = {key: tensor.shape for key, tensor in module.state_dict().items()}
    shapes = [
        f"{key} {tuple(state[key].shape)}, expected {tuple(shape)}"
        for key, shape in wanted.items()
        if key in state and state[key].shape != shape
    ]
    problems = [
        _listing("missing", [key for key in wanted if key not in state]),
        _listing("unexpected", [key for key in state if key not in wanted]),
        _listing("of another shape", shapes),
    ]
    if any(problems):
        details = "; ".join(filter(None, problems))
        raise CheckpointError(
            f"{source} does not fit {type(module).__name__}: {details}. "
            "Is it the checkpoint of this model, at this size?"
        )
    module.load_state_dict(dict(state), strict=True, assign=True)


def _listing(kind: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {kind}: {', '.join(names[:_SHOWN])}{more}"


def _is_entry(item: tuple[object, object]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], torch.Tensor)


def _is_zip(path: Path) -> bool:
    """Only the zip format of torch.save can be mapped instead of read."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _describe(loaded: object) -> str:
    if not isinstance(loaded, dict):
        return type(loaded).__name__
    inner = sorted({type(value).__name__ for value in loaded.values()})
    return f"a dictionary of {', '.join(inner)} with keys {list(loaded)[:4]}"
