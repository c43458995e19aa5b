"""The gate: what every request passes before a route sees it, and what is written down after."""

import logging
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frugalseg.serve.logs import FIELDS
from frugalseg.serve.problems import ProblemError, problem_response
from frugalseg.serve.service import Service

_SANE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_NEED_A_KEY = ("/v1/", "/v2", "/metrics")
_PROBES = ("/v2/health/",)
_PIECE_BYTES = 262_144

log = logging.getLogger("frugalseg.serve")


@dataclass(slots=True)
class _Passage:
    """One request on its way."""

    request_id: str
    began: float = field(default_factory=time.perf_counter)
    status: int = 0
    bytes_out: int = 0
    key: str | None = None


class Gate:
    """ASGI middleware: request ids, keys and rates, compressed bodies, metrics, the log."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        passage = _Passage(given if _SANE_ID.fullmatch(given) else secrets.token_hex(8))
        scope["request_id"] = passage.request_id
        sending = self._sender(passage, send)
        self._in_flight += 1
        try:
            self._check(scope, headers, passage)
            await self._app(scope, receive, sending)
        except ProblemError as problem:
            await _refuse(scope, receive, sending, passage, problem)
        except Exception:
            log.exception("a bug", extra={FIELDS: {"request_id": passage.request_id}})
            bug = ProblemError(500, "something went wrong here; the log says what", name="bug")
            await _refuse(scope, receive, sending, passage, bug)
        finally:
            self._in_flight -= 1
            self._write_down(scope, headers, passage)

    def _check(self, scope: Scope, headers: Headers, passage: _Passage) -> None:
        path = scope["path"]
        is_probe = path.startswith(_PROBES)
        if self._in_flight > self._service.settings.limits.in_flight and not is_probe:
            raise ProblemError(
                429, "too many requests are open; try again", name="busy",
                headers={"Retry-After": str(self._service.workers.retry_after_s())},
            )  # fmt: skip
        if (encoding := headers.get("content-encoding", "identity")) != "identity":
            raise ProblemError(
                415, f"a body is sent as it is, not as {encoding[:40]!r}", name="content-encoding",
                headers={"Accept-Encoding": "identity"},
            )  # fmt: skip
        if path.startswith(_NEED_A_KEY) and not is_probe:
            self._check_key(headers, passage)

    def _check_key(self, headers: Headers, passage: _Passage) -> None:
        if (keys := self._service.keys) is None:
            return
        kind, _, token = headers.get("authorization", "").partition(" ")
        presented = token.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        key = keys.find(presented)
        if key is None:
            raise ProblemError(
                401, "expected a key that is known, as 'Authorization: Bearer KEY' or 'X-API-Key'",
                name="no-key", headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        passage.key = key.name
        if (wait_s := keys.take(key)) is not None:
            raise ProblemError(
                429, f"key {key.name!r} has sent more than its rate allows", name="rate",
                headers={"Retry-After": str(wait_s)},
            )  # fmt: skip

    def _sender(self, passage: _Passage, send: Send) -> Send:
        """Add what every answer has, count it, and send it in pieces.

        A whole body would be taken at once, and wait outside of all counts for a client that does
        not read. Piece by piece, its request stays open until the client has nearly all of it.
        """

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                passage.status = message["status"]
                extra = [
                    (b"x-request-id", passage.request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
                await send({**message, "headers": [*message.get("headers", []), *extra]})
                return
            body, more = message.get("body", b""), message.get("more_body", False)
            for at in range(0, max(1, len(body)), _PIECE_BYTES):
                piece = body[at : at + _PIECE_BYTES]
                is_last = at + _PIECE_BYTES >= len(body) and not more
                await send({**message, "body": piece, "more_body": not is_last})
                passage.bytes_out += len(piece)

        return sending

    def _write_down(self, scope: Scope, headers: Headers, passage: _Passage) -> None:
        seconds = time.perf_counter() - passage.began
        route = str(scope.get("route_name") or getattr(scope.get("route"), "path", "none"))
        self._service.metrics.count_request(route, scope["method"], passage.status, seconds)
        length = headers.get("content-length", "")
        fields: dict[str, Any] = {
            "request_id": passage.request_id,
            "method": scope["method"],
            "route": route,
            "status": passage.status,
            "ms": round(1000 * seconds, 2),
            "bytes_in": int(length) if length.isdecimal() else None,
            "bytes_out": passage.bytes_out,
            "key": passage.key,
            **scope.get("logged", {}),
        }
        log.info("request", extra={FIELDS: fields})


async def _refuse(
    scope: Scope, receive: Receive, sending: Send, passage: _Passage, problem: ProblemError
) -> None:
    if passage.status:
        raise problem  # the answer has begun: the server closes the connection
    response = problem_response(problem, scope["path"], passage.request_id)
    await response(scope, receive, sending)
