"""The JSON of the COCO family, entry by entry: memory for one entry, never for the file.

Such a file is one object; its long members are lists: `images`, `annotations`, `categories`. It is
read as Latin-1, so that a character is a byte and the place of each entry in the file is known; no
byte of a longer UTF-8 character means anything to JSON. Entries are then decoded as the UTF-8 that
they are.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from frugalseg.core.errors import DataError
from frugalseg.core.parse import reason

MAX_ENTRY_BYTES = 16 << 20  # a crowd of COCO has some 50 kB

_MOST_KEYS = 100  # COCO has five
_PIECE_BYTES = 1 << 20
_NOT_SPACE = re.compile(r"[^ \t\n\r]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list: its value, and the bytes of the file that it comes from."""

    key: str
    number: int
    value: Any
    start: int
    stop: int


def read_entries(path: Path, keys: Collection[str]) -> Iterator[Entry]:
    """Yield the entries of the lists that are named, in the order of the file; all must be there.

    Raises DataError for what is not such a file.
    """
    try:
        with path.open("rb") as stream:
            yield from _entries(_Text(stream), keys)
    except OSError as wrong:
        raise DataError(f"{path}: {(wrong.strerror or 'cannot be read').lower()}") from wrong
    except (ValueError, RecursionError) as wrong:
        raise DataError(f"{path}: not an annotation file of COCO ({reason(wrong)})") from wrong


def decoded(content: bytes) -> Any:
    """Decode one entry; raises ValueError or RecursionError."""
    return _DECODER.decode(content.decode("utf-8"))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


class _Text:
    """The part of a file that is being read; `at` is the next character, `base + at` its byte."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.text = ""
        self.at = 0
        self.base = 0
        if self.more() and self.text.startswith(_BYTE_ORDER_MARK.decode("latin-1")):
            self.at = len(_BYTE_ORDER_MARK)

    def more(self) -> bool:
        """Read on, and forget what lies behind; False at the end of the file.

        What is kept doubles up to the longest entry, so that one is not begun again too often.
        """
        kept = len(self.text) - self.at
        piece = self.stream.read(max(_PIECE_BYTES, min(kept, MAX_ENTRY_BYTES - kept)))
        self.text = self.text[self.at :] + piece.decode("latin-1")
        self.base += self.at
        self.at = 0
        return bool(piece)

    def peek(self) -> str:
        """Give the next character that is not space; nothing at the end of the file."""
        while True:
            if found := _NOT_SPACE.search(self.text, self.at):
                self.at = found.start()
                return found.group()
            self.at = len(self.text)
            if not self.more():
                return ""

    def take(self, expected: str) -> str:
        """Step over one of some characters, and give it."""
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(expected)
            there = repr(found) if found else "the file ends"
            raise ValueError(f"byte {self.base + self.at:,}: expected {wanted}, but {there}")
        self.at += 1
        return found

    def value(self) -> tuple[Any, int, int]:
        """Decode the next value, whatever it is; also its first byte and the one after it."""
        self.peek()
        while True:
            try:
                value, stop = _DECODER.raw_decode(self.text, self.at)
                if stop < len(self.text) or not self.more():
                    break
            except json.JSONDecodeError as wrong:
                where = f"byte {self.base + wrong.pos:,}: {wrong.msg}"
                if len(self.text) - self.at > MAX_ENTRY_BYTES:
                    most = f"{MAX_ENTRY_BYTES:,} bytes"
                    raise ValueError(f"{where}, or an entry of more than {most}") from None
                if not self.more():
                    raise ValueError(where) from None
            except RecursionError:
                raise ValueError(f"byte {self.base + self.at:,}: nested too deeply") from None
        written = self.text[self.at : stop]
        if not written.isascii():
            value = decoded(written.encode("latin-1"))
        start, self.at = self.base + self.at, stop
        return value, start, self.base + stop


def _entries(text: _Text, keys: Collection[str]) -> Iterator[Entry]:
    seen: set[str] = set()
    text.take("{")
    for _ in _members(text, "}"):
        key = _key(text)
        if key in seen:
            raise ValueError(f"{key!r} is there twice")
        if len(seen) == _MOST_KEYS:
            raise ValueError(f"more than {_MOST_KEYS} keys")
        seen.add(key)
        if text.peek() == "[":
            yield from (entry for entry in _list(text, key) if key in keys)
        elif key in keys:
            raise ValueError(f"{key!r} is not a list")
        else:
            text.value()
    if text.peek():
        raise ValueError(f"byte {text.base + text.at:,}: more after the end")
    if missing := [key for key in keys if key not in seen]:
        raise ValueError(f"no {' and no '.join(map(repr, missing))} in it")


def _list(text: _Text, key: str) -> Iterator[Entry]:
    text.take("[")
    for number, _ in enumerate(_members(text, "]")):
        yield Entry(key, number, *text.value())


def _members(text: _Text, close: str) -> Iterator[None]:
    """Stop before each member of an object or a list, and step over its end."""
    if text.peek() == close:
        text.take(close)
        return
    yield
    while text.take("," + close) == ",":
        yield


def _key(text: _Text) -> str:
    if text.peek() != '"':
        raise ValueError(f"byte {text.base + text.at:,}: expected a key in quotes")
    key = str(text.value()[0])
    text.take(":")
    return key
