"""The server: a socket, uvicorn on it, and an end that finishes what was begun."""

import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from frugalseg.core.errors import ConfigError
from frugalseg.serve.app import create_app
from frugalseg.serve.protocol import bounded_protocol
from frugalseg.serve.service import Service
from frugalseg.serve.settings import Settings

BACKLOG = 512

log = logging.getLogger("frugalseg.serve")


def serve(service: Service, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `told` gets the address once.

    What was accepted by then is finished, for up to `limits.shutdown_s`. Raises ConfigError where
    the address cannot be used.
    """
    settings = service.settings
    listening = _listen(settings)
    host, port = listening.getsockname()[:2]
    limits = settings.limits
    config = uvicorn.Config(
        create_app(service),
        http=bounded_protocol(limits.headers_s, limits.send_s),
        loop="auto",
        proxy_headers=False,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=max(1, round(limits.keep_alive_s)),
        timeout_graceful_shutdown=max(1, round(limits.shutdown_s)),
    )
    told(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    with contextlib.closing(listening):
        _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that has done its work when it was asked to end: it does not end by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in good order also when asked twice: then without waiting for clients."""
        await super().shutdown(sockets)
        if self.force_exit:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # of what is cut off
            await self.lifespan.shutdown()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as wrong:  # a name that is not known has no errno of the system
        why = (wrong.strerror or str(wrong)).partition(" (")[0].lower()
        raise ConfigError(
            f"{settings.host} port {settings.port} cannot be used: {why};"
            " choose another with --host or --port"
        ) from wrong
