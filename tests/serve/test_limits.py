"""Limits, keys, rates and problems, as a client sees them."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from frugalseg.serve.gate import Gate
from frugalseg.serve.keys import make_key

Start = Callable[..., TestClient]

PROBLEM = "application/problem+json"


def told(answer: Any, status: int, kind: str | None = None) -> str:
    """Check that an answer is a problem document of this status; return its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    document = answer.json()
    assert document["type"] == (f"urn:frugalseg:problem:{kind}" if kind else "about:blank")
    assert document["status"] == status
    assert document["instance"] == answer.headers["X-Request-ID"]
    assert document["title"]
    return str(document["detail"])


def test_what_is_not_there_is_told(client: TestClient) -> None:
    assert "/openapi.json" in told(client.get("/v1/nothing"), 404)
    assert "use POST" in told(client.get("/v1/segment"), 405)
    assert "frugalnet" in told(client.get("/v1/models/cup"), 404, "no-model")
    assert "ae18" in told(client.get("/v1/models/frugalnet 48x64/versions/0"), 404, "no-model")


def test_a_body_that_is_too_long_is_refused_by_its_length_and_by_its_bytes(
    start: Start, body: bytes
) -> None:
    client = start(limits={"picture_bytes": 1000, "batch_bytes": 2000})
    assert "1,000 bytes" in told(client.post("/v1/segment", content=body), 413, "too-many-bytes")
    pieces = (body[at : at + 100] for at in range(0, len(body), 100))
    told(client.post("/v1/segment", content=pieces), 413, "too-many-bytes")
    files = {"image": ("a.png", body)}
    told(client.post("/v1/segment/batch", files=files), 413, "too-many-bytes")


def test_bodies_are_bounded_together(start: Start, body: bytes) -> None:
    client = start(limits={"buffer_bytes": 1000})
    answer = client.post("/v1/segment", content=body)
    told(answer, 429, "busy")
    assert answer.headers["Retry-After"] == "1"
    for _ in range(2):  # what was counted was given back
        told(client.post("/v1/segment", content=b"x" * 1000), 415, "not-a-picture")


def test_pixels_are_bounded_in_pictures_and_in_sizes(start: Start, body: bytes) -> None:
    client = start(limits={"pixels": 4000})
    told(client.post("/v1/segment", content=body), 413, "too-many-pixels")
    wide = start(limits={"pixels": 5000})
    query = {"size": "100x51"}
    told(wide.post("/v1/segment", params=query, content=body), 413, "too-many-pixels")


def test_parts_are_counted_and_have_their_name(start: Start, body: bytes) -> None:
    client = start(limits={"batch_pictures": 2})
    three = [("image", ("a.png", body))] * 3
    told(client.post("/v1/segment/batch", files=three), 413, "too-many-parts")
    told(client.post("/v1/segment", files=three[:2]), 413, "too-many-parts")
    said = told(client.post("/v1/segment", files={"picture": body}), 422, "wrong-part")
    assert "'picture'" in said
    raw = client.post("/v1/segment/batch", content=body)
    told(raw, 400, "broken-multipart")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data; name=image\r\n\r\nabc",
        b"--x\r\n" + b"A: b\r\n" * 50 + b"\r\nabc\r\n--x--\r\n",
        b"--x\r\nA: " + b"b" * 9000 + b"\r\n\r\nabc\r\n--x--\r\n",
        b"no boundary at all",
    ],
)
def test_a_broken_multipart_body_is_a_bad_request(client: TestClient, content: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    told(client.post("/v1/segment", content=content, headers=headers), 400, "broken-multipart")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/mixed; boundary=x"])
def test_a_multipart_type_that_is_not_of_a_form_is_a_bad_request(
    client: TestClient, kind: str
) -> None:
    answer = client.post("/v1/segment", content=b"--x--\r\n", headers={"Content-Type": kind})
    told(answer, 400, "broken-multipart")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, gzip"])
def test_a_compressed_body_is_not_taken(client: TestClient, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    answer = client.post("/v1/segment", content=b"x", headers=headers)
    assert encoding in told(answer, 415, "content-encoding")


def test_a_queue_without_room_is_told_with_a_time(start: Start, body: bytes) -> None:
    client = start(limits={"queue": 1})
    answer = client.post("/v1/segment/batch", files=[("image", ("a.png", body))] * 3)
    told(answer, 429, "busy")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_request_that_takes_too_long_ends(
    start: Start, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr("frugalseg.serve.segmenting.answer", lambda *_, **__: free.wait(20))
    client = start(limits={"request_s": 0.2})
    told(client.post("/v1/segment", content=body), 504, "too-slow")
    waited = client.post("/v1/segment", content=body)
    told(waited, 503, "waited")
    assert int(waited.headers["Retry-After"]) >= 1
    free.set()


def test_a_request_id_is_taken_over_if_it_is_sane(client: TestClient) -> None:
    for given, kept in (("abc-7:1", True), ("a b", False), ("x" * 65, False), ('"}', False)):
        answer = client.get("/v1/models", headers={"X-Request-ID": given})
        assert (answer.headers["X-Request-ID"] == given) == kept


def test_keys_are_asked_of_the_api_and_not_of_the_page_or_of_probes(
    start: Start, tmp_path: Path, body: bytes
) -> None:
    key, line = make_key("camera")
    (tmp_path / "keys").write_text(f"{line} 3/h\n", encoding="utf-8")
    client = start(keys=str(tmp_path / "keys"))
    for path in ("/v1/models", "/metrics", "/v2"):
        answer = client.get(path)
        told(answer, 401, "no-key")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    told(client.get("/v1/models", headers={"Authorization": f"Bearer {key}x"}), 401, "no-key")
    for path in ("/v2/health/live", "/v2/health/ready", "/openapi.json"):
        assert client.get(path).status_code == 200
    ways = [
        {"Authorization": f"Bearer {key}"},
        {"X-API-Key": key},
        {"authorization": f"bearer {key}"},
    ]
    for headers in ways:
        assert client.get("/v1/models", headers=headers).status_code == 200
    over = client.post("/v1/segment", content=body, headers=ways[0])
    told(over, 429, "rate")
    assert int(over.headers["Retry-After"]) > 60


def test_pages_of_other_origins_may_not_ask_unless_named(start: Start) -> None:
    origin = {"Origin": "https://example.com"}
    assert "access-control-allow-origin" not in start().get("/v1/models", headers=origin).headers
    allowing = start(cors=["https://example.com"])
    answer = allowing.get("/v1/models", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://example.com"
    other = allowing.get("/v1/models", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in other.headers


def test_a_bug_is_told_without_its_trace_and_logged_with_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("/secret/path is broken")

    monkeypatch.setattr("frugalseg.serve.metrics.Metrics.text", broken)
    answer = client.get("/metrics")
    told(answer, 500, "bug")
    assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_the_log_has_one_event_for_a_request_and_nothing_of_the_picture(
    client: TestClient, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "frugalseg.serve"):
        files, headers = {"image": ("secret.png", body)}, {"X-Request-ID": "i"}
        client.post("/v1/segment", files=files, headers=headers)
    [event] = [record for record in caplog.records if record.message == "request"]
    fields = event.__dict__["fields"]
    assert (fields["request_id"], fields["route"], fields["status"]) == ("i", "/v1/segment", 200)
    assert fields["model"] == "frugalnet 48x64"
    assert {"queue_ms", "decode_ms", "infer_ms", "encode_ms"} <= set(fields)
    assert "secret" not in json.dumps(fields)


def test_metrics_count_by_route_and_not_by_what_clients_make_up(client: TestClient) -> None:
    client.get("/v1/models/" + "x" * 50)
    client.request("BREW", "/v1/models")
    text = client.get("/metrics").text
    assert 'frugalseg_requests_total{method="GET",route="/v1/models/{name}",status="404"}' in text
    assert 'method="other"' in text
    assert "xxx" not in text
    assert "BREW" not in text
    for name in ("frugalseg_queue_length", "frugalseg_phase_seconds_bucket", "process_resident"):
        assert name in text
    assert "frugalseg_model{" in text


def test_the_gate_lets_no_more_requests_in_than_may_be_open(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(limits={"in_flight": 1})
    assert client.get("/v1/models").status_code == 200
    monkeypatch.setattr(Gate, "_check", _with_others(Gate._check))
    told(client.get("/v1/models"), 429, "busy")
    assert client.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize("host", ["[", "a b", "]:99999", "a" * 5000])
def test_a_host_that_is_none_does_no_harm(client: TestClient, host: str) -> None:
    headers = {"Host": host}
    told(client.get("/v1/nothing", headers=headers), 404)
    told(client.post("/v1/segment", content=b"x", headers=headers), 415, "not-a-picture")


def _with_others(check: Callable[..., None]) -> Callable[..., None]:
    def later(gate: Gate, *rest: Any) -> None:
        gate._in_flight += 5
        try:
            check(gate, *rest)
        finally:
            gate._in_flight -= 5

    return later
