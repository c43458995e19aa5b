"""API keys: a file of names and hashes, compared in constant time, with a rate for each."""

import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from frugalseg.core.errors import ConfigError
from frugalseg.core.parse import reason

_LINE = re.compile(r"(?P<name>[\w.-]{1,64})\s+sha256:(?P<digest>[0-9a-f]{64})(?:\s+(?P<rate>\S+))?")
_RATE = re.compile(r"(?P<count>[1-9]\d{0,6})/(?P<unit>[smh])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_BYTES = 32


@dataclass(slots=True, eq=False)
class Key:
    """A client: its name, the hash of its key, and how many requests it may send in how long.

    Up to `count` requests may come at once; each comes back after `per_s / count`.
    """

    name: str
    digest: bytes
    count: int | None = None
    per_s: float = 1.0
    left: float = 0.0
    at: float = 0.0

    def take(self, now: float) -> int | None:
        """Count one request; where there are too many, return the seconds until the next."""
        if self.count is None:
            return None
        self.left = min(self.count, self.left + (now - self.at) * self.count / self.per_s)
        self.at = now
        if self.left < 1:
            return max(1, math.ceil((1 - self.left) * self.per_s / self.count))
        self.left -= 1
        return None


class Keys:
    """All keys. A key has 256 random bits, so one round of SHA-256 is hash enough."""

    def __init__(self, keys: list[Key], clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._clock = keys, clock
        for key in keys:
            key.left, key.at = float(key.count or 0), clock()

    def find(self, presented: str) -> Key | None:
        """Return the client whose key it is. All are compared, whichever fits."""
        digest = _digest(presented)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def take(self, key: Key) -> int | None:
        """Count one request of a client; return the seconds to wait where there are too many."""
        return key.take(self._clock())


def make_key(name: str) -> tuple[str, str]:
    """Return a new key, and the line for the file of keys.

    >>> key, line = make_key("camera-7")
    >>> len(key), line.split()[0]
    (43, 'camera-7')
    """
    key = secrets.token_urlsafe(_BYTES)
    line = f"{name} sha256:{_digest(key).hex()}"
    if not _LINE.fullmatch(line):
        raise ConfigError(f"a key's name has letters, digits, - _ . (at most 64), got {name!r}")
    return key, line


def read_keys(path: Path) -> Keys:
    """Read a file of keys: lines `NAME sha256:HEX [COUNT/s|m|h]`; # begins a comment.

    Raises ConfigError that names every line that is not of this form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as wrong:
        raise ConfigError(f"{path} cannot be read: {reason(wrong)}") from wrong
    keys, wrong_lines = [], []
    for number, line in enumerate(lines, start=1):
        if not (text := line.partition("#")[0].strip()):
            continue
        try:
            keys.append(_read_line(text))
        except ValueError:
            wrong_lines.append(str(number))
    if wrong_lines:
        expected = "NAME sha256:64 HEX DIGITS, and maybe a rate such as 10/s"
        raise ConfigError(f"{path}: expected {expected} in line {', '.join(wrong_lines)}")
    if not keys:
        raise ConfigError(f"{path} has no key: make one with `frugalseg serve --make-key NAME`")
    return Keys(keys)


def _read_line(text: str) -> Key:
    found = _LINE.fullmatch(text)
    if not found:
        raise ValueError(text)
    key = Key(found["name"], bytes.fromhex(found["digest"]))
    if found["rate"]:
        rate = _RATE.fullmatch(found["rate"])
        if not rate:
            raise ValueError(text)
        key.count, key.per_s = int(rate["count"]), float(_UNIT_S[rate["unit"]])
    return key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
