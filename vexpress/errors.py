"""Everything that this package raises on purpose.

    VExpressError
    ├── RunError                  the work as a whole cannot go on
    │   ├── WeightsError          weights are missing, damaged or of another model
    │   │   ├── MissingWeightsError
    │   │   ├── CheckpointError
    │   │   └── FaceModelError
    │   ├── ConfigError           ┐
    │   ├── SourceError           │
    │   ├── DatasetError          │ in vexpress.schemas.errors
    │   ├── SelectionError        │
    │   ├── QueryError            │
    │   └── FullDisk              ┘
    ├── InputError                one input cannot be used; others may
    │   ├── PortraitError         the portrait
    │   ├── SoundError            the audio
    │   ├── PointsError           V-Kps
    │   ├── SettingsError         a parameter, or parameters that do not go together
    │   └── ClipError             clips to train on (vexpress.training.clips)
    └── TrainingDiverged          numbers are no longer finite (vexpress.training.stage_run)

Each message says what was expected, what was found and what to do.
"""


class VExpressError(Exception):
    """Base of all errors of this package."""


class RunError(VExpressError):
    """The work as a whole cannot go on; what is about one input is an InputError."""


class WeightsError(RunError):
    """Weights cannot be used."""


class MissingWeightsError(WeightsError):
    """Weights are nowhere to be found."""


class CheckpointError(WeightsError):
    """A weight file is damaged, not plain weights, or of another model."""


class FaceModelError(WeightsError):
    """The face model asked for cannot be used."""


class InputError(VExpressError):
    """What the user gave cannot be used."""


class PortraitError(InputError):
    """The reference picture cannot be used."""


class SoundError(InputError):
    """The audio cannot be used."""


class PointsError(InputError):
    """The V-Kps cannot be used."""


class SettingsError(InputError):
    """A parameter is wrong, or parameters do not go together."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, else its name; at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def told_apart(found: float, limit: float, decimals: int = 0) -> str:
    """Return `found` with as few decimals, from `decimals` on, as tell it from `limit`."""
    for places in range(decimals, 12):
        if float(f"{found:.{places}f}") != round(limit, places):
            return f"{found:.{places}f}"
    return repr(found)


def raise_if_interrupted(error: BaseException) -> None:
    """Raise KeyboardInterrupt where `error` came of one: bindings that are interrupted while they
    are imported say ImportError, and a run that is stopped is no failure of its input."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        cause = cause.__cause__ or cause.__context__
