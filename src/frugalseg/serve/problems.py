"""Problem documents (RFC 9457): what came, what was expected, what to do. No path, no trace."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from frugalseg.core.errors import DataError, TooLargeError, UnknownFormatError

MEDIA_TYPE = "application/problem+json"
GONE = 499  # as nginx logs a client that went away; it is never sent

_OF_THE_OPEN_PROTOCOL = "/v2"


class ProblemError(Exception):
    """A request that ends with a problem document.

    `name` is the last part of its type, `urn:frugalseg:problem:NAME`; without one, the status says
    all. `headers` go with it.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.detail, self.name = status, detail, name
        self.headers = dict(headers or {})
        super().__init__(detail)

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON.

        >>> ProblemError(404, "no model 'cup'", name="no-model").to_dict()["type"]
        'urn:frugalseg:problem:no-model'
        """
        return {
            "type": f"urn:frugalseg:problem:{self.name}" if self.name else "about:blank",
            "title": title(self.status),
            "status": self.status,
            "detail": self.detail,
        }


def title(status: int) -> str:
    """Name a status as HTTP does.

    >>> title(404)
    'Not Found'
    """
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Client Went Away"


def of_picture(wrong: DataError) -> ProblemError:
    """Tell why a picture cannot be used: 415 no picture, 413 too many pixels, 422 else."""
    if isinstance(wrong, UnknownFormatError):
        return ProblemError(415, str(wrong), name="not-a-picture")
    if isinstance(wrong, TooLargeError):
        return ProblemError(413, str(wrong), name="too-many-pixels")
    return ProblemError(422, str(wrong), name="unusable-picture")


def problem_response(problem: ProblemError, path: str, request_id: str | None) -> Response:
    """Build the answer. Below /v2 it also has the member `error`, which that protocol reads."""
    document = problem.to_dict()
    if request_id:
        document["instance"] = request_id
    if path.startswith(_OF_THE_OPEN_PROTOCOL):
        document["error"] = problem.detail
    return Response(
        json.dumps(document, ensure_ascii=False),
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""

    @app.exception_handler(ProblemError)
    async def _ours(request: Request, wrong: ProblemError) -> Response:
        return _answer(request, wrong)

    @app.exception_handler(DataError)
    async def _picture(request: Request, wrong: DataError) -> Response:
        return _answer(request, of_picture(wrong))

    @app.exception_handler(RequestValidationError)
    async def _values(request: Request, wrong: RequestValidationError) -> Response:
        return _answer(request, ProblemError(422, _mistakes(wrong), name="wrong-value"))

    @app.exception_handler(HTTPException)
    async def _other(request: Request, wrong: HTTPException) -> Response:
        return _answer(request, _of_http(request, wrong))


def _answer(request: Request, problem: ProblemError) -> Response:
    return problem_response(problem, request.scope["path"], request.scope.get("request_id"))


def _mistakes(wrong: RequestValidationError) -> str:
    told = []
    for error in wrong.errors():
        *_, name = error["loc"]
        if error["type"] == "extra_forbidden":
            told.append(f"{name}: no such parameter; see /openapi.json")
        else:
            told.append(f"{name}: {error['msg']}, got {str(error['input'])[:80]!r}")
    return "; ".join(told)


def _of_http(request: Request, wrong: HTTPException) -> ProblemError:
    headers = dict(wrong.headers or {})
    match wrong.status_code:
        case 404:
            detail = f"nothing is at {request.scope['path'][:200]!r}; see /openapi.json for what is"
        case 405:
            allowed = headers.get("allow") or headers.get("Allow") or "another method"
            detail = f"{request.method} is not answered here; use {allowed}"
        case _:
            detail = str(wrong.detail)
    return ProblemError(wrong.status_code, detail, headers=headers)
