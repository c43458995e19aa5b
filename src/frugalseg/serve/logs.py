"""Logs as lines of JSON, with request ids and without anything of a picture."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

FIELDS = "fields"

_LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.asgi")


class JsonLines(logging.Formatter):
    """One line of JSON for each event; `extra={"fields": {...}}` adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write an event as one line."""
        when = datetime.fromtimestamp(record.created, UTC)
        event: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            event["trace"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False, default=str)


def log_as_json(stream: TextIO | None = None) -> None:
    """Send the log of the service, and of the server below it, to standard error as JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (
        ("frugalseg.serve", logging.INFO),
        *((library, logging.WARNING) for library in _LIBRARIES),
    ):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler] if name in {"frugalseg.serve", "uvicorn"} else []
        logger.setLevel(level)
        logger.propagate = name not in {"frugalseg.serve", "uvicorn"}
