"""The service as a process: clients that are slow or go away, and its end."""

import contextlib
import gzip
import http.client
import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.serve.page import PAGE
from frugalseg.serve.server import serve as serve_here
from frugalseg.serve.service import open_service
from frugalseg.serve.settings import Settings

Serve = Callable[..., Any]

LIMITS = {
    "headers_s": 0.6, "stall_s": 0.6, "body_s": 1.5, "send_s": 0.8, "picture_bytes": 100_000,
}  # fmt: skip

LARGE = "assets/engine/litert_wasm_compat_internal.wasm"
WHOLE_BYTES = len(gzip.decompress((PAGE / f"{LARGE}.gz").read_bytes()))


@pytest.fixture(scope="module")
def impatient(serve: Serve) -> Any:
    return serve(limits=LIMITS)


def read_all(connection: socket.socket) -> bytes:
    """Read until the service closes the connection."""
    received = b""
    while part := connection.recv(65_536):
        received += part
    return received


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until something has come."""
    received = b""
    while end not in received:
        part = connection.recv(65_536)
        assert part, f"closed after {received!r}"
        received += part
    return received


def events_of(log: Path, route: str | None = None) -> list[dict[str, Any]]:
    """Return what the log says; a line that is no JSON is an error."""
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [event for event in events if route in {None, event.get("route")}]


def head(length: int, path: str = "/v1/segment?format=ids") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/seg", b"GET /v1/models HTTP/1.1\r\nHost: a\r\n"])
def test_headers_that_do_not_come_end_the_connection(impatient: Any, sent: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(sent)
        assert read_all(connection) == b""


def test_headers_that_come_byte_by_byte_end_the_connection(impatient: Any) -> None:
    with impatient.connect() as connection, contextlib.suppress(OSError):
        for _ in range(100):
            connection.sendall(b"A")
            time.sleep(0.05)
        pytest.fail("a client may send its headers as slowly as it likes")


def test_headers_on_a_connection_that_stayed_open_are_bounded_too(impatient: Any) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in read_until(connection, b'{"live":true}')
        connection.sendall(b"GET /v2/health")
        assert read_all(connection) == b""


def test_a_body_that_stalls_is_a_408(impatient: Any) -> None:
    with impatient.connect() as connection:
        connection.sendall(head(1000) + b"abc")
        assert read_until(connection, b"slow-sender").startswith(b"HTTP/1.1 408")


def test_a_body_that_drips_is_a_408_when_its_time_is_up(impatient: Any) -> None:
    with impatient.connect() as connection:
        connection.sendall(head(1000))
        connection.settimeout(0.2)
        ends = time.monotonic() + 20
        answer = b""
        while not answer and time.monotonic() < ends:
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 408")


def test_what_is_sent_on_after_a_refusal_is_not_taken_for_long(impatient: Any) -> None:
    with impatient.connect() as connection, contextlib.suppress(OSError):
        connection.sendall(head(10**12))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413")
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            connection.sendall(b"x" * 1000)
            time.sleep(0.02)
        pytest.fail("a client may go on sending what was refused")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"POST /v1/segment HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["tls", "length", "two lengths", "long header", "no path"],
)
def test_what_is_no_http_is_a_problem(impatient: Any, sent: bytes) -> None:
    with impatient.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(sent)
        answer = read_all(connection)
    top, _, content = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 4")
    assert b"application/problem+json" in top
    assert json.loads(content)["status"] == 400


def test_a_client_that_does_not_read_is_given_up_and_its_request_is_open_till_then(
    impatient: Any,
) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((impatient.host, impatient.port))
        connection.sendall(f"GET /{LARGE} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        while not (events := events_of(impatient.log, "page")):
            time.sleep(0.05)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            received = read_all(connection)
    assert events[0]["ms"] > 1000 * LIMITS["send_s"]
    assert len(received) < WHOLE_BYTES / 2


def test_a_client_that_reads_slowly_gets_all_of_it(serve: Serve) -> None:
    running = serve()
    connection = http.client.HTTPConnection(running.host, running.port, timeout=20)
    for _ in range(2):
        connection.request("GET", f"/{LARGE}")
        answer = connection.getresponse()
        first = answer.read(10_000)
        time.sleep(0.3)
        assert len(first + answer.read()) == WHOLE_BYTES
    connection.close()


def test_after_all_this_it_still_answers(impatient: Any, body: bytes) -> None:
    connection = http.client.HTTPConnection(impatient.host, impatient.port, timeout=20)
    connection.request("POST", "/v1/segment", body)
    assert connection.getresponse().status == 200
    connection.close()
    assert not [event for event in events_of(impatient.log) if event["level"] == "error"]


def test_a_client_that_goes_away_costs_nothing_more(serve: Serve, body: bytes) -> None:
    running = serve()
    for _ in range(30):
        connection = running.connect()
        connection.sendall(head(len(body)) + body)
        connection.close()
    connection = http.client.HTTPConnection(running.host, running.port, timeout=20)
    connection.request("POST", "/v1/segment", body)
    assert connection.getresponse().read()
    connection.close()
    code, log = running.end()
    assert code == 0
    statuses = [event["status"] for event in log if event["event"] == "request"]
    assert set(statuses) <= {200, 499}
    assert not [event for event in log if event["level"] == "error"]


def test_an_end_finishes_what_was_accepted(
    serve: Serve, golden: Path, tmp_path: Path, body: bytes
) -> None:
    shutil.copytree(golden, tmp_path / "artifact")
    running = serve(tmp_path / "artifact", limits={"queue": 100})
    statuses: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection(running.host, running.port, timeout=60)
        connection.request("POST", "/v1/segment?size=600x600&format=overlay", body)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        connection.close()

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    connection = http.client.HTTPConnection(running.host, running.port, timeout=20)
    waiting = 0.0
    while waiting < 4:  # one computes, one may have ended
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        [waiting] = [float(x.split()[1]) for x in lines if x.startswith("frugalseg_queue_length ")]
    connection.close()
    code, _ = running.end()
    for client in clients:
        client.join()
    assert code == 0
    assert statuses == [200] * 6
    with pytest.raises(OSError, match="refused"):
        running.connect()


def test_an_address_that_is_none_is_told(golden: Path) -> None:
    service = open_service(Settings(workers=1, host="a..b"), [golden])
    with pytest.raises(ConfigError, match=r"port 8000 cannot be used: (?!unknown)"):
        serve_here(service, print)


def test_asked_to_end_twice_it_does_not_wait_and_ends_in_good_order(serve: Serve) -> None:
    running = serve()
    with running.connect() as waiting:  # a request that never gets whole
        waiting.sendall(b"POST /v1/segment HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab")
        time.sleep(0.3)
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGINT)
        running.process.communicate(timeout=20)
    log = running.log.read_text(encoding="utf-8")
    assert running.process.returncode == 0
    assert "Traceback" not in log
