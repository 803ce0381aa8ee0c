"""Random numbers by name: the same parts always give the same numbers, on every machine."""

import torch

from vexpress.hashes import blake2b


def generator(*parts: object) -> torch.Generator:
    """A CPU generator that depends on nothing but `parts`."""
    digest = int(blake2b(repr(parts).encode(), 8), base=16)
    return torch.Generator().manual_seed(digest >> 1)


def chance(rate: float, random: torch.Generator) -> bool:
    """Draw whether something of this chance happens; draws also where it cannot."""
    return bool(torch.rand((), generator=random) < rate)


def integer(below: int, random: torch.Generator) -> int:
    """Draw 0 .. below - 1."""
    return int(torch.randint(below, (), generator=random))


def uniform(low: float, high: float, random: torch.Generator) -> float:
    """Draw between two numbers."""
    return low + (high - low) * float(torch.rand((), generator=random))
