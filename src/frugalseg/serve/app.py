"""The application: routes, the gate before them, and what begins and ends with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from frugalseg import __version__
from frugalseg.serve import catalog, metrics, open_inference, openapi, problems, segmenting
from frugalseg.serve.gate import Gate
from frugalseg.serve.service import Service, TheService

TITLE = "frugalseg"
EXPOSED = ("X-Request-ID", "X-Model", "X-Model-Version", "X-Artifact-SHA256", "Server-Timing")


def create_app(service: Service) -> FastAPI:
    """Build the ASGI application of a service; its workers run while the application does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.workers.start()
        watching = asyncio.create_task(service.watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.to_thread(service.workers.close)

    app = FastAPI(
        title=TITLE, version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.service = service
    problems.install(app)
    openapi.install(app)
    for part in (segmenting, catalog, open_inference):
        app.include_router(part.router)
    app.add_api_route("/metrics", _metrics, responses=openapi.answers("text/plain"))
    for name in ("", *service.page.files):  # each by itself: no path of a client is ever joined
        app.add_route(f"/{name}", _page, methods=["GET"], include_in_schema=False)
    app.add_middleware(Gate, service=service)
    if service.settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.settings.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    return app


async def _metrics(service: TheService) -> Response:
    """Give the metrics as Prometheus reads them."""
    return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)


async def _page(request: Request) -> Response:
    request.scope["route_name"] = "page"
    service: Service = request.app.state.service
    found = service.page.find(request.scope["path"].removeprefix("/"))
    headers = request.headers
    return await asyncio.to_thread(
        found.response, headers.get("accept-encoding", ""), headers.get("if-none-match", "")
    )
