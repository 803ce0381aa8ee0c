"""Settings of an evaluation from single `key=value` words."""

from typing import Any

from pydantic import ValidationError

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.settings import explain, overlay, parse_setting
from vexpress.tasks.evaluate.plan import EvaluateConfig


def load_evaluate_config(settings: list[str]) -> EvaluateConfig:
    """Return the configuration. Raises ConfigError that names the key."""
    tree: dict[str, Any] = {}
    for setting in settings:
        example = "key=value, such as measure.identity_frames=8"
        tree = overlay(tree, parse_setting(setting, example))
    try:
        return EvaluateConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, EvaluateConfig)) from error
