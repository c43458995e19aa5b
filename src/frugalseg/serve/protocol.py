"""HTTP/1.1 as uvicorn speaks it, to clients that may take their time with their headers."""

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from frugalseg.serve.problems import MEDIA_TYPE, ProblemError


def bounded_protocol(headers_s: float) -> type[asyncio.Protocol]:
    """Return the protocol that closes a connection `headers_s` after it opened without a request.

    The same holds for headers that are begun on a connection that stayed open: uvicorn bounds how
    long it is idle after an answer, but neither the wait for the first request nor for the rest of
    its headers.
    """
    return type("Protocol", (_Protocol,), {"headers_s": headers_s})


class _Protocol(H11Protocol):
    headers_s: float
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._waiting is None and self._is_between_requests():
            self._wait()
        super().data_received(data)
        if not self._is_between_requests():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document, and close."""
        content = json.dumps(ProblemError(400, msg, name="no-http").to_dict()).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
        ]
        events = (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=content),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.headers_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
