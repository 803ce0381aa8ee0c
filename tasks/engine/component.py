"""What steps and scorers have in common: a name, a version, settings and weights.

All that an answer depends on goes into the key under which the ledger keeps it. Where a model
lies is no part of that: settings in `PLACES` are left out, the digest of the weights goes in.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from vexpress.hashes import blake2b
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.row import Model
from vexpress.tasks.engine.weights import Need, Weights


@dataclass(frozen=True)
class Context:
    """What every step may use."""

    dataset: Dataset
    weights: Path | None = None
    gpu: bool = False
    progress: Callable[[float], None] = lambda seconds: None
    """Told how many more seconds of video were looked at."""


class Component:
    """Base of steps and scorers."""

    NAME: ClassVar[str]
    LEDGER_NAME: ClassVar[str] = ""
    """What its keys call it, where it was called otherwise in version 0.1."""
    VERSION: ClassVar[int] = 1
    """Raise it when the same input gives another answer."""
    GROUP: ClassVar[str] = ""
    """Group of settings that `resolve` makes definite; empty where it has none to resolve."""
    PLACES: ClassVar[frozenset[str]] = frozenset()
    """Settings that only say where something lies."""

    def __init__(self, config: Any, context: Context) -> None:
        self.config = config
        self.context = context

    @classmethod
    def versions(cls, config: Any) -> list[tuple[str, int]]:
        """Return name and version of each piece of code whose answers are kept with `config`."""
        return [(cls.LEDGER_NAME or cls.NAME, cls.VERSION)]

    @classmethod
    def resolve(cls, config: Any, weights: Path | None) -> tuple[Any, str | None]:
        """Return `config` with definite models, and what the user should know, or None.

        `weights`: the folder with models, if there is one. Raises ConfigError when something
        asked for cannot be had.
        """
        return config, None

    @classmethod
    def weights(cls, config: Any) -> list[Weights]:
        """Return the weights that a resolved `config` uses. Their files are read."""
        return []

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """Return what it needs or can use of this machine and the folder `weights`."""
        return []

    def settings(self) -> str:
        """Return the settings that the answer depends on, as JSON; places are empty."""
        if not isinstance(self.config, Model):
            return ""
        return self.config.model_copy(update=dict.fromkeys(self.PLACES, "")).model_dump_json()

    @cached_property
    def weights_digest(self) -> str:
        """Digest of the weights in use; empty without any."""
        return "".join(found.sha256 for found in self.weights(self.config))

    def make_key(self, *identity: str | None) -> str:
        """Return the ledger key of its answer to the input that `identity` stands for."""
        name = self.LEDGER_NAME or self.NAME
        return make_key(name, self.VERSION, self.settings(), self.weights_digest, *identity)


def make_key(*parts: str | int | None) -> str:
    """Return a ledger key: a hash of `parts`."""
    return blake2b(json.dumps(parts).encode())
