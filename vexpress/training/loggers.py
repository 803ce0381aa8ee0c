"""Where the numbers of a stage go besides its metrics log: TensorBoard, Weights & Biases.

Both are packages of their own, which are needed where a run asks for them.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from vexpress.errors import SettingsError
from vexpress.training.settings import LoggerName


class Logger(Protocol):
    """What takes the numbers of a stage."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take numbers by name, such as `train/loss`, after a step."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class TensorBoardLogger:
    """Event files in `folder`. What was logged after `last_step` is hidden from readers: the
    steps of a run that was stopped between two checkpoints are made again."""

    def __init__(self, folder: Path, last_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        first = last_step + 1 if last_step else 0  # a stage that starts measures at step 0
        self._writer = SummaryWriter(str(folder), purge_step=first)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write at once: a run that is killed does not make steps before a checkpoint again."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class WandbLogger:
    """A run of the project `vexpress`, continued where it was stopped; its files and id are in
    `folder`. Weights & Biases itself leaves out steps that it has seen."""

    def __init__(self, folder: Path, name: str) -> None:
        import wandb  # type: ignore[import-not-found]

        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(project="vexpress", name=name, dir=str(folder), resume="auto")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Hand numbers over."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """Upload what is left."""
        self._run.finish()


def require_loggers(names: Sequence[LoggerName]) -> None:
    """Raise SettingsError where the package of a logger is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"engine.loggers: expected the package {missing[0]}, found none. Install it "
            f"(pip install {missing[0]}), or leave it out of engine.loggers."
        )


def open_loggers(names: Sequence[LoggerName], stage: Path, last_step: int) -> list[Logger]:
    """Return the loggers of a stage by the folder of the stage, which goes on after `last_step`.

    Raises SettingsError where a package is not installed.
    """
    require_loggers(names)
    loggers: list[Logger] = []
    if "tensorboard" in names:
        loggers.append(TensorBoardLogger(stage / "tensorboard", last_step))
    if "wandb" in names:
        loggers.append(WandbLogger(stage, f"{stage.parent.name}/{stage.name}"))
    return loggers
