"""Plans for smaller networks, as files."""

import json
from pathlib import Path
from typing import Any

from frugalseg.compress.catalog import METHODS, Plan
from frugalseg.core.errors import ConfigError

MOST_BYTES = 10_000_000


def read_values(path: Path) -> Any:
    """Read what a file with a plan holds; raises ConfigError where that cannot be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is too large for a plan")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as wrong:
        raise ConfigError(f"cannot read the plan {path}: {wrong}") from wrong


def read_plan(path: Path) -> tuple[dict[str, Any], Plan]:
    """Return what was asked for, and the plan: of a `plan.json`, or of what `compress` printed.

    Raises ConfigError for a file that holds no such plan.
    """
    values = read_values(path)
    try:
        asked = dict(values["asked"])
        return asked, METHODS[asked["method"]].plan.from_dict(values["plan"])
    except (KeyError, TypeError, ValueError, ConfigError) as wrong:
        raise ConfigError(
            f"{path}: no plan with `asked` and `plan`, as `compress` writes plan.json: {wrong!r}"
        ) from wrong
