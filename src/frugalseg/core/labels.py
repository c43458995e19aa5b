"""LabelSpace: which classes there are, and what the values of a mask file mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from frugalseg.core.errors import ConfigError

IGNORE = 255
MAX_CLASSES = 255
_BYTE = range(256)

Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpace:
    """Classes with train ids 0..N-1, and the mapping from mask values on disk to them.

    `from_disk` maps each value that may occur in a mask file to a train id, or to 255 (ignore).
    A value that is not in it is undeclared, and a reader refuses it. Where classes of the data were
    merged or dropped, `class_map` says what each of them became ("ignore" for what does not count).

    >>> labels = LabelSpace.of(["sky", "road"], ignore_on_disk=[11])
    >>> labels.from_disk
    {0: 0, 1: 1, 11: 255}
    >>> LabelSpace.from_dict(labels.to_dict()) == labels
    True
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    from_disk: Mapping[int, int] = field(hash=False)
    background: int | None = None
    class_map: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        self._check_names()
        if len(self.colors) != len(self.names):
            raise ConfigError(f"{len(self.names)} classes but {len(self.colors)} colours")
        if strange := [c for c in self.colors if not all(part in _BYTE for part in c)]:
            raise ConfigError(f"the parts of a colour are 0 to 255, got {strange}")
        if beyond := [value for value in self.from_disk if value not in _BYTE]:
            raise ConfigError(f"mask values are 0 to 255, got {beyond}")
        allowed = {*range(len(self.names)), IGNORE}
        if wrong := {d: t for d, t in self.from_disk.items() if t not in allowed}:
            raise ConfigError(f"mask values map to train ids that do not exist: {wrong}")
        if self.background is not None and not 0 <= self.background < len(self.names):
            raise ConfigError(f"background {self.background} is not a class")

    def _check_names(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise ConfigError(f"a label space has 1 to 255 classes, got {len(self.names)}")
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"class names must differ, got {list(self.names)}")
        if broken := [name for name in self.names if name.splitlines() != [name]]:
            raise ConfigError(f"a class name is one line of text, got {broken}")

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        *,
        colors: Sequence[Color] | None = None,
        ignore_on_disk: Sequence[int] = (IGNORE,),
        background: int | None = None,
    ) -> Self:
        """Build the common case: mask value i is class i; some values mean "ignore"."""
        disk = {i: i for i in range(len(names))} | dict.fromkeys(ignore_on_disk, IGNORE)
        return cls(
            names=tuple(names),
            colors=tuple(colors) if colors is not None else palette(len(names), background),
            from_disk=disk,
            background=background,
        )

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "names": list(self.names),
            "colors": [list(c) for c in self.colors],
            "from_disk": {str(d): t for d, t in self.from_disk.items()},
            "background": self.background,
            "ignore": IGNORE,
            **({"class_map": dict(self.class_map)} if self.class_map else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises ConfigError where it is not of that form."""
        try:
            return cls(
                names=tuple(str(n) for n in values["names"]),
                colors=tuple((int(r), int(g), int(b)) for r, g, b in values["colors"]),
                from_disk={int(d): int(t) for d, t in values["from_disk"].items()},
                background=values["background"],
                class_map={str(a): str(b) for a, b in values.get("class_map", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise ConfigError(f"not a label space: {wrong!r}") from wrong


def palette(count: int, background: int | None = None) -> tuple[Color, ...]:
    """Give `count` colours that are easy to tell apart; the background is black.

    >>> palette(2, background=0)
    ((0, 0, 0), (230, 25, 75))
    """
    distinct: list[Color] = [
        (230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48),
        (145, 30, 180), (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212),
        (0, 128, 128), (220, 190, 255), (170, 110, 40), (255, 250, 200), (128, 0, 0),
        (170, 255, 195), (128, 128, 0), (255, 215, 180), (0, 0, 128), (128, 128, 128),
    ]  # fmt: skip
    # Past the hand-picked ones: steps of the golden angle through a coarse colour cube.
    more = [((i * 97) % 256, (i * 157 + 80) % 256, (i * 211 + 160) % 256) for i in range(count)]
    pool = iter([*distinct, *(c for c in more if c not in distinct)])
    return tuple((0, 0, 0) if i == background else next(pool) for i in range(count))
