"""From plain values, as a YAML, TOML or JSON file gives them, to a checked model of them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from frugalseg.core.errors import ConfigError

_MOST_DEPTH = 50
_OF_UNION = re.compile(r"constrained-\w+|literal\[.*\]")  # as pydantic names it

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


class Part(BaseModel):
    """A table of values that people write by hand: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parse(kind: type[Model], values: Mapping[str, Any], what: str) -> Model:
    """Check values and build the model; `what` names their source in the text of the error.

    Raises ConfigError that names every mistake, and for an unknown key the nearest known one.

    >>> class Board(BaseModel, extra="forbid"):
    ...     title: str
    >>> parse(Board, {"titel": "Bell"}, "bell.toml is wrong")
    Traceback (most recent call last):
    ...
    frugalseg.core.errors.ConfigError: bell.toml is wrong: title: Field required; unknown key \
'titel', did you mean 'title'? Known here: title
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as wrong:
        mistakes = [_explain(kind, error) for error in wrong.errors()]
        raise ConfigError(f"{what}: " + "; ".join(mistakes)) from wrong


def or_value_error(read: Callable[[str], Value], text: str) -> Value:
    """Let pydantic see a mistake that `read` finds, so that it is listed with the others."""
    try:
        return read(text)
    except ConfigError as wrong:
        raise ValueError(str(wrong)) from wrong


def parse_yaml(text: str, *, aliases: bool = True) -> Any:
    """Read YAML as plain values; a ValueError says in one line what is wrong, and where.

    >>> parse_yaml("sizes: [1, 2")
    Traceback (most recent call last):
    ...
    ValueError: line 1, column 13: expected ',' or ']', but got '<stream end>'
    """
    import yaml

    try:
        _refuse_monsters(yaml.parse(text), aliases)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{wrong.problem or wrong.context}") from wrong
    except yaml.YAMLError as wrong:
        raise ValueError(str(wrong).partition("\n")[0]) from wrong
    except ValueError as wrong:  # also a date that is none
        raise ValueError(reason(wrong)) from wrong


def _refuse_monsters(events: Iterable[Any], aliases: bool) -> None:
    """Refuse what is small as text and takes hours, or more memory than there is, as values."""
    import yaml

    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            raise ValueError(f"line {event.start_mark.line + 1}: nested too deeply")
        if not aliases and isinstance(event, yaml.AliasEvent):
            raise ValueError(f"*{event.anchor} repeats another part; write that part out")


def reason(wrong: Exception) -> str:
    """Say why a file or a text cannot be read, without the names of Python and its advice."""
    if isinstance(wrong, OSError) and wrong.strerror:
        return wrong.strerror.lower()
    said = str(wrong)
    return "a number of thousands of digits" if "integer string conversion" in said else said


def _explain(kind: type[BaseModel], error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if not _OF_UNION.fullmatch(str(part)))
    if error["type"] == "extra_forbidden":
        *path, key = error["loc"]
        known = _keys(kind, path)
        near = get_close_matches(str(key), known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else "."
        return f"unknown key {where!r}{hint} Known here: {', '.join(known)}"
    said = error["msg"].removeprefix("Value error, ")
    whole = error["type"] == "missing" or isinstance(error["input"], Mapping)  # says nothing
    got = "" if whole else f" (got {error['input']!r})"
    return f"{where}: {said}{got}" if where else f"{said}{got}"


def _keys(kind: Any, path: Sequence[str | int]) -> list[str]:
    """Name the keys that are known below `path`, a list of keys."""
    part = kind
    for name in path:
        annotation = _by_key(part)[name].annotation
        part = next((a for a in get_args(annotation) if isinstance(a, type)), annotation)
    return sorted(map(str, _by_key(part)))


def _by_key(kind: type[BaseModel]) -> dict[str | int, Any]:
    return {field.alias or name: field for name, field in kind.model_fields.items()}
