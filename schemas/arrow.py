"""Values of Arrow tables as Python and numpy have them."""

from typing import Any

import pyarrow as pa


def read_value(scalar: pa.Scalar) -> Any:
    """A Python value; a list of points, however deep, becomes its numbers in one row."""
    if not isinstance(scalar, pa.ListScalar) or scalar.values is None:
        return scalar.as_py()
    values = scalar.values
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    return values.to_numpy(zero_copy_only=False)
