"""The service is what `/openapi.json` says: asked by schemathesis in ways that it makes up."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

Serve = Callable[..., Any]

# Not among them: that what fits the schema is accepted. A picture of another kind does not fit a
# network, and options that do not go together are refused, which no schema says.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "unsupported_method",
)  # fmt: skip


def test_every_route_tells_what_it_answers_and_every_refusal_is_a_problem(
    client: TestClient,
) -> None:
    described = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(described)
    for path, methods in described["paths"].items():
        for method in methods.values():
            assert method["description"], path
            for status, answer in method["responses"].items():
                is_problem = list(answer["content"]) == ["application/problem+json"]
                assert is_problem == (status != "200"), (path, status)


def test_options_are_told_with_what_they_may_be(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    told = {p["name"]: p["schema"] for p in described["paths"]["/v1/segment"]["post"]["parameters"]}
    assert told["format"]["enum"] == ["json", "ids", "color", "overlay", "npz"]
    assert (told["alpha"]["minimum"], told["alpha"]["maximum"]) == (0, 1)


@pytest.mark.slow
def test_schemathesis_finds_no_fault(serve: Serve) -> None:
    pytest.importorskip("schemathesis")
    asked = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{serve().address}/openapi.json",
            "--max-examples", "4", "--phases", "examples,fuzzing", "--seed", "1",
            "--generation-database", "none", "--no-color", "--checks", ",".join(CHECKS),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stdout[-4000:]
