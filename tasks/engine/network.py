"""Base of steps and scorers that one fetched network makes possible (`vexpress weights`).

Where the network is not here they do nothing and change no key and no fingerprint.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.tasks.engine.component import Component
from vexpress.tasks.engine.weights import Need, Weights, read_weights
from vexpress.weights.sources import BY_NAME, find_network, get


class NetworkConfig(Model):
    """Whether a network is used, and where it lies."""

    model: str | None = "auto"
    """Its file; `auto`: where `vexpress weights fetch` put it, nothing where it is not there;
    null: not used."""


class NeedsNetwork(Component):
    """A step or scorer of one network."""

    NETWORK: ClassVar[str]
    """Its name in `vexpress weights`."""
    PLACES: ClassVar[frozenset[str]] = frozenset({"model"})

    @classmethod
    def is_on(cls, config: NetworkConfig | None) -> bool:
        """Return whether a resolved `config` names the network."""
        return config is not None and config.model not in (None, "auto")

    @classmethod
    def versions(cls, config: Any) -> list[tuple[str, int]]:
        """Return its version where it is used."""
        return super().versions(config) if cls.is_on(config) else []

    @classmethod
    def resolve(cls, config: Any, weights: Path | None) -> tuple[Any, str | None]:
        """Find the file. Raises ConfigError where one is named that is not there."""
        if config.model is None:
            return config, None
        if config.model != "auto":
            path = Path(config.model).expanduser()
            if not path.is_file():
                raise ConfigError(
                    f"{cls.GROUP}.model: expected the file of {cls.NETWORK} at {path}, found none. "
                    f"Fetch it ({get(cls.NETWORK)}), or give null to go without."
                )
            return config.model_copy(update={"model": str(path.absolute())}), None
        found = find_network(cls.NETWORK, weights)
        chosen = config.model_copy(update={"model": str(found) if found else None})
        note = None if found else f"{cls._title()}: not here, {get(cls.NETWORK)}"
        return chosen, note

    @classmethod
    def weights(cls, config: Any) -> list[Weights]:
        """Return the file."""
        if not cls.is_on(config):
            return []
        return [read_weights(cls.NETWORK, [Path(config.model)], BY_NAME[cls.NETWORK].licence)]

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """Say whether the network is here."""
        found = find_network(cls.NETWORK, weights)
        place = f"no {BY_NAME[cls.NETWORK].place} under the weights"
        return [Need(cls._title(), str(found or place), found is not None, get(cls.NETWORK))]

    @classmethod
    def _title(cls) -> str:
        return BY_NAME[cls.NETWORK].purpose


def open_onnx(file: Path, shape: tuple[int, ...], *, gpu: bool) -> Any:
    """Load an ONNX network, one thread, and try it on zeros float32 of `shape`.

    Raises ConfigError where it is another network.
    """
    try:
        session = open_session(file, gpu=gpu)
        session.run(None, {session.get_inputs()[0].name: np.zeros(shape, np.float32)})
    except Exception as error:  # onnxruntime's errors have no common base
        raise ConfigError(
            f"{file}: expected an ONNX network that takes float32 {shape}, found another: {error}"
        ) from error
    return session


def open_session(file: Path, *, gpu: bool) -> Any:
    """Load an ONNX network, one thread. Raises onnxruntime's errors, which have no common base."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CUDAExecutionProvider"] if gpu else []
    return onnxruntime.InferenceSession(
        str(file), options, providers=[*providers, "CPUExecutionProvider"]
    )
