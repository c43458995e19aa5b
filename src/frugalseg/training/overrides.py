"""What `--set` says, put into the values of a recipe."""

import re
from typing import Any

from frugalseg.core.errors import ConfigError
from frugalseg.core.parse import parse_yaml


def override(values: dict[str, Any], setting: str) -> None:
    """Change values as a setting, "optimizer.lr=2e-3", says; raises ConfigError if it is none.

    >>> values = {"optimizer": {"lr": 1.0}}
    >>> override(values, "optimizer.lr=2e-3")
    >>> values
    {'optimizer': {'lr': 0.002}}
    """
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes KEY=VALUE such as optimizer.lr=2e-3, got {setting!r}")
    *path, last = key.strip().split(".")
    for part in path:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {setting}: {part!r} has no keys below it")
        values = inner
    if path == ["length"]:
        values.clear()  # the three ways to say how long exclude each other
    try:
        values[last] = _number(parse_yaml(text))
    except ValueError as wrong:
        raise ConfigError(f"--set {setting}: not a value: {wrong}") from wrong


def _number(value: Any) -> Any:
    """YAML 1.1 reads 2e-3 as text, since it wants a dot in the mantissa."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value
