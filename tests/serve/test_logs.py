import io
import json
import logging
from collections.abc import Iterator

import pytest

from frugalseg.serve.logs import log_as_json

LOGGERS = ("frugalseg.serve", "uvicorn", "uvicorn.error", "uvicorn.asgi")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    kept = {
        name: (list(one.handlers), one.level, one.propagate)
        for name, one in ((name, logging.getLogger(name)) for name in LOGGERS)
    }
    stream = io.StringIO()
    log_as_json(stream)
    yield stream
    for name, (handlers, level, propagate) in kept.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.level, logger.propagate = handlers, level, propagate


def test_an_event_is_one_line_of_json_with_its_fields(log: io.StringIO) -> None:
    told = 'a "quote"\nand more'
    logging.getLogger("frugalseg.serve").info(told, extra={"fields": {"status": 200}})
    [line] = log.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["status"]) == (told, "info", 200)
    assert event["time"].endswith("+00:00")


def test_a_trace_stays_on_its_line(log: io.StringIO) -> None:
    try:
        int("x")
    except ValueError:
        logging.getLogger("frugalseg.serve").exception("a bug")
    [line] = log.getvalue().splitlines()
    assert "invalid literal" in json.loads(line)["trace"]


def test_the_server_below_tells_of_trouble_once_and_of_nothing_else(log: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.error").warning("trouble")
    assert [json.loads(line)["event"] for line in log.getvalue().splitlines()] == ["trouble"]
