"""Read `.pt` files of others: tensors and numpy arrays, and nothing that could run.

torch's unpickler with an allow-list; numpy 1 and 2 name the same functions differently, and both
are met.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.dtypes import Float32DType, Float64DType, Int32DType, Int64DType, UInt8DType

from vexpress.errors import InputError

_RECONSTRUCT = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]
ALLOWED: list[Any] = [
    (_RECONSTRUCT, "numpy.core.multiarray._reconstruct"),
    (_RECONSTRUCT, "numpy._core.multiarray._reconstruct"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    *(np.ndarray, np.dtype),
    *(Float32DType, Float64DType, Int32DType, Int64DType, UInt8DType),
]


def read_pt(path: Path) -> Any:
    """Read a `.pt` file onto the CPU.

    Raises InputError when it is damaged or asks for anything but arrays.
    """
    try:
        with torch.serialization.safe_globals(ALLOWED):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: expected arrays alone, found a pickle that asks for something else to be "
            f"run or built; nothing of it was run. ({str(error).splitlines()[0][:200]})"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, AttributeError, KeyError) as error:
        raise InputError(f"{path} cannot be read: {error}. Make it again.") from error
