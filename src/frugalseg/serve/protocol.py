"""HTTP/1.1 as uvicorn speaks it, to clients that take their time or have no end."""

import asyncio
import json
from enum import Enum, auto

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from frugalseg.serve.problems import MEDIA_TYPE, ProblemError

MOST_HEAD_BYTES = 65_536
MOST_PIPELINED = 32


def bounded_protocol(patience_s: float, send_s: float) -> type[asyncio.Protocol]:
    """Return the protocol that closes a connection which makes it wait.

    For up to `patience_s` it waits for a first request, from the first byte of any request to the
    end of its headers, and for the rest of a body that was refused; for up to `send_s` for a client
    to take an answer. uvicorn bounds how long a connection is idle after an answer; these waits,
    and the bytes of headers, it does not.
    """
    return type("Protocol", (_Protocol,), {"patience_s": patience_s, "send_s": send_s})


class _At(Enum):
    """Where in a request the reading stands."""

    GAP = auto()
    HEAD = auto()
    BODY = auto()


class _Protocol(HttpToolsProtocol):
    patience_s: float
    send_s: float
    _at = _At.GAP
    _head_bytes = 0
    _patience: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None
    _is_answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # So that writing is paused while any byte waits, and goes on when all are taken.
        transport.set_write_buffer_limits(high=0)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._is_answered = True
        super().connection_lost(exc)
        self._check_taken()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._is_answered = False
        if self._taking is None:  # closing would wait for what was not taken
            self._taking = self.loop.call_later(self.send_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._check_taken()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._is_answered = True
        self._check_taken()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        is_refused = self._at is _At.BODY and self.cycle.response_complete
        if self._at is _At.HEAD or is_refused:
            self._wait()
        else:
            self._stop_waiting()
        self._head_bytes = self._head_bytes + len(data) if self._at is _At.HEAD else 0
        if self._head_bytes > MOST_HEAD_BYTES or len(self.pipeline) > MOST_PIPELINED:
            self.send_400_response(
                f"headers have at most {MOST_HEAD_BYTES:,} bytes, and {MOST_PIPELINED} requests may"
                " be sent ahead"
            )

    def on_message_begin(self) -> None:
        self._at = _At.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._at = _At.BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._at = _At.GAP
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document, and close."""
        if self.transport.is_closing():
            return
        content = json.dumps(ProblemError(400, msg, name="no-http").to_dict()).encode()
        lines = (
            "HTTP/1.1 400 Bad Request",
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(content)}",
            "connection: close",
        )
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + content)
        self.transport.close()

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self.patience_s, self.transport.close)

    def _check_taken(self) -> None:
        if self._taking is not None and self._is_answered and not self.flow.write_paused:
            self._taking.cancel()
            self._taking = None

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
