"""What settings of networks may be; each check raises ConfigError that names the setting."""

from collections.abc import Collection

from frugalseg.core.errors import ConfigError

WIDTHS = (0.125, 4.0)


def check_width(width: object, name: str = "width") -> None:
    """Check a factor for channels: a number from 0.125 to 4."""
    low, high = WIDTHS
    if isinstance(width, bool) or not isinstance(width, int | float) or not low <= width <= high:
        raise ConfigError(f"{name} must be {low} to {high}, got {width!r}")


def check_whole(name: str, value: object, limits: tuple[int, int]) -> None:
    """Check a whole number within the limits, both of them included."""
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def check_choice(name: str, value: object, known: Collection[object]) -> None:
    """Check that a value is one of those known."""
    if value not in known:
        *first, last = map(repr, known)
        raise ConfigError(f"{name} must be {', '.join(first)} or {last}, got {value!r}")
