"""Keep freed memory for the next step, on the CPU.

glibc hands large blocks back to the system as soon as they are freed, and the system
clears every page of the next one. A U-Net allocates such blocks thousands of times a
video: that was an eighth of its time (benchmarks/README.md). Other C libraries and GPUs
(where torch keeps freed memory itself) are left as they are.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""
KEPT = (1 << 31) - 1
"""Blocks up to this many bytes are kept: the most that `mallopt` takes."""
USUAL = {M_TRIM_THRESHOLD: 64 << 20, M_MMAP_THRESHOLD: 32 << 20}
"""Where glibc's own thresholds, which grow with use, end (mallopt(3))."""


@contextmanager
def keep_freed_memory(device: torch.device) -> Iterator[None]:
    """While this lasts, freed memory stays with the process; then all of it is given back.

    `device`: where the work is done; for any but the CPU nothing changes.
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    for option in USUAL:
        libc.mallopt(option, KEPT)
    try:
        yield
    finally:
        for option, value in USUAL.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)
