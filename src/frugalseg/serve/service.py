"""The service as one value: what all routes share."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import Request

from frugalseg.core.errors import ConfigError
from frugalseg.serve.bodies import Buffer
from frugalseg.serve.keys import Keys, read_keys
from frugalseg.serve.metrics import Metrics
from frugalseg.serve.page import Page
from frugalseg.serve.problems import GONE, ProblemError
from frugalseg.serve.settings import Settings
from frugalseg.serve.shelf import Model, Shelf
from frugalseg.serve.workers import (
    ClosedError,
    Done,
    GoneError,
    Job,
    NotBegunError,
    QueueFullError,
    Workers,
)

NETWORK = Path(__file__).with_name("network")

T = TypeVar("T")

log = logging.getLogger("frugalseg.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Settings, models, workers and counts of a service that runs."""

    settings: Settings
    shelf: Shelf
    workers: Workers
    page: Page
    keys: Keys | None
    metrics: Metrics
    buffer: Buffer

    def model(self, name: str | None, version: str | None) -> Model:
        """Return a model, or raise a problem: 404 with the names that there are, 503 if none."""
        found = self.shelf.find(name, version)
        if found:
            return found
        if not self.shelf.models:
            raise ProblemError(503, "no model is loaded", name="no-model")
        names = dict.fromkeys(model.name for model in self.shelf.models)
        if name is not None and name not in names:
            known = ", ".join(names)
            raise ProblemError(404, f"no model {name[:100]!r}; there is {known}", name="no-model")
        wanted = name if name is not None else self.shelf.models[0].name
        versions = ", ".join(m.version for m in self.shelf.models if m.name == wanted)
        asked = str(version)[:100]
        raise ProblemError(
            404, f"no version {asked!r} of {wanted!r}; there is {versions}", name="no-model"
        )

    async def compute(self, request: Request, jobs: Sequence[Job[T]]) -> list[Done[T]]:
        """Let the workers do all jobs of a request, until its client goes away.

        Raises a problem: 429 where the queue is full, 503 where the service ends or no worker was
        free in time, 504 where the time was up.
        """
        gone = asyncio.ensure_future(_disconnect(request))
        try:
            return await self.workers.run(jobs, self.settings.limits.request_s, gone)
        except GoneError:
            raise ProblemError(GONE, "the client went away") from None
        except QueueFullError as full:
            raise ProblemError(
                429, f"the queue has no room for {len(jobs)} more; try again later", name="busy",
                headers={"Retry-After": str(full.retry_after_s)},
            ) from None  # fmt: skip
        except ClosedError:
            raise ProblemError(
                503, "the service is shutting down", name="ending", headers={"Retry-After": "5"}
            ) from None
        except NotBegunError:
            raise ProblemError(
                503, "no worker was free in time; try again later", name="waited",
                headers={"Retry-After": str(self.workers.retry_after_s())},
            ) from None  # fmt: skip
        except TimeoutError:
            limit = self.settings.limits.request_s
            raise ProblemError(504, f"it took more than {limit:g} s", name="too-slow") from None
        finally:
            gone.cancel()

    async def watch(self) -> None:
        """Look at the folders of the models again and again, in a thread of its own."""
        while True:
            await asyncio.sleep(self.settings.reload_s)
            try:
                await asyncio.to_thread(self.shelf.refresh)
            except Exception:  # whatever lies there, what is served goes on
                log.exception("the folders of the models cannot be looked at")


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def open_service(settings: Settings, sources: Sequence[Path]) -> Service:
    """Open the models, the network that ships where none is named, and everything beside them.

    Raises ArtifactError for a model that cannot be opened, ConfigError for wrong settings.
    """
    if not sources and not NETWORK.is_dir():
        raise ConfigError("this installation has no network of its own: name an artifact to serve")
    shelf = Shelf(sources=sources or [NETWORK], workers=settings.workers, threads=settings.threads)
    shelf.load()
    service = Service(
        settings=settings,
        shelf=shelf,
        workers=Workers(settings.workers, settings.limits.queue),
        page=Page.open(),
        keys=read_keys(settings.keys) if settings.keys else None,
        metrics=Metrics(),
        buffer=Buffer(settings.limits.buffer_bytes),
    )
    service.metrics.watch(service)
    return service


async def _of(request: Request) -> Service:  # async, or a thread is taken for it
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(_of)]
