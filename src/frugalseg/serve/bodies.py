"""Bodies of requests: read piece by piece within bounds of bytes and time, and taken apart."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from frugalseg.serve.problems import GONE, ProblemError
from frugalseg.serve.settings import Limits

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MULTIPART = "multipart/form-data"
MOST_HEADER_BYTES = 4_096
MOST_HEADERS = 8
MOST_NAME = 200


@dataclass(slots=True)
class Buffer:
    """Bytes of bodies that are held now, over all requests, and how many may be."""

    most: int
    held: int = 0

    def take(self, count: int) -> None:
        """Count them, or raise a problem (429) where there are too many already."""
        if self.held + count > self.most:
            raise ProblemError(
                429, "too many bytes are being received now; try again", name="busy",
                headers={"Retry-After": "1"},
            )  # fmt: skip
        self.held += count


@asynccontextmanager
async def held_body(
    request: Request, most: int, limits: Limits, buffer: Buffer
) -> AsyncIterator[bytes]:
    """Read a body of up to `most` bytes, and count it against the buffer while it is used."""
    _check_length(request, most)
    taken = 0

    def take(count: int) -> None:
        nonlocal taken
        if taken + count > most:
            raise _too_large(most)
        buffer.take(count)
        taken += count

    try:
        yield await _received(request, limits, take)
    finally:
        buffer.held -= taken


async def _received(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """Receive a whole body; a sender that stalls, or takes too long in all, is a 408."""
    now = asyncio.get_running_loop().time
    ends = now() + limits.body_s
    parts, more = list[bytes](), True
    try:
        async with asyncio.timeout_at(ends) as patience:
            while more:
                patience.reschedule(min(now() + limits.stall_s, ends))
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ProblemError(GONE, "the client went away")
                part = message.get("body", b"")
                take(len(part))
                parts.append(part)
                more = message.get("more_body", False)
    except TimeoutError:
        raise ProblemError(
            408,
            f"the body came too slowly: up to {limits.stall_s:g} s without a byte, and"
            f" {limits.body_s:g} s in all, are waited",
            name="slow-sender",
        ) from None
    return b"".join(parts)


def _check_length(request: Request, most: int) -> None:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)


def _too_large(most: int) -> ProblemError:
    return ProblemError(413, f"a body has at most {most:,} bytes here", name="too-many-bytes")


@dataclass(slots=True)
class Part:
    """A part of a multipart body that is a file."""

    filename: str = ""
    name: str = ""
    content: bytearray = field(default_factory=bytearray)


def is_multipart(request: Request) -> bool:
    """Tell whether the body has parts, by its type."""
    return request.headers.get("content-type", "").lower().startswith("multipart/")


def image_parts(request: Request, body: bytes, most: int) -> list[Part]:
    """Take a multipart body apart: 1 to `most` files, all named `image`.

    Raises a problem: 400 where the syntax is broken, 413 for too many parts, 422 for other names.
    """
    parts = _divided(request, body, most)
    strange = sorted({part.name for part in parts if part.name != "image"})
    if strange or not parts:
        came = f"parts named {', '.join(map(repr, strange[:5]))}" if strange else "no part"
        raise ProblemError(422, f"expected parts named 'image', got {came}", name="wrong-part")
    return parts


def _divided(request: Request, body: bytes, most: int) -> list[Part]:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind.decode("latin-1").lower() != MULTIPART or not boundary:
        raise ProblemError(400, f"expected {MULTIPART} with a boundary", name="broken-multipart")
    reader = _Reader(most)
    try:
        parser = MultipartParser(
            boundary,
            reader.callbacks(),
            max_header_count=MOST_HEADERS,
            max_header_size=MOST_HEADER_BYTES,
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as wrong:
        raise ProblemError(
            400, f"the multipart body is broken: {wrong}", name="broken-multipart"
        ) from wrong
    if not reader.complete:
        raise ProblemError(400, "the multipart body ends too early", name="broken-multipart")
    return reader.parts


class _Reader:
    """Gathers what the parser finds."""

    def __init__(self, most: int) -> None:
        self.most, self.parts, self.complete = most, list[Part](), False
        self._field, self._value = bytearray(), bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._extend(
                self.parts[-1].content, data[start:end]
            ),
            "on_header_field": lambda data, start, end: self._extend(self._field, data[start:end]),
            "on_header_value": lambda data, start, end: self._extend(self._value, data[start:end]),
            "on_header_end": self._header,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) == self.most:
            raise ProblemError(413, f"at most {self.most} parts are taken", name="too-many-parts")
        self.parts.append(Part())

    @staticmethod
    def _extend(whole: bytearray, piece: bytes) -> None:
        whole += piece

    def _header(self) -> None:
        if bytes(self._field).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            part = self.parts[-1]
            part.name = options.get(b"name", b"").decode("utf-8", "replace")[:MOST_NAME]
            part.filename = options.get(b"filename", b"").decode("utf-8", "replace")[:MOST_NAME]
        self._field.clear()
        self._value.clear()

    def _end(self) -> None:
        self.complete = True
