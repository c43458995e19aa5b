"""The Open Inference Protocol v2, by its text and by a client that others wrote."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from frugalseg.runtime.segmenter import Segmenter

NAME = "frugalnet 48x64"
Serve = Callable[..., Any]

INFER = f"/v2/models/{NAME}/infer"
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(golden: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    segmenter = Segmenter.open(golden)
    return np.stack([segmenter.scores(image_HWC) for image_HWC in images])


def asked(images: NDArray[np.uint8], **changed: Any) -> dict[str, Any]:
    tensor = {
        "name": "image",
        "shape": list(images.shape),
        "datatype": "UINT8",
        "data": images.tolist(),
    }
    return {"inputs": [tensor | changed]}


def test_health_and_metadata(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    told = client.get(f"/v2/models/{NAME}").json()
    assert told["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 48, 64, 3]}]
    assert [output["name"] for output in told["outputs"]] == ["scores", "ids"]
    version = told["versions"][0]
    assert client.get(f"/v2/models/{NAME}/versions/{version}/ready").json()["ready"] is True
    assert client.get(f"/v2/models/{NAME}/versions/{version}").json() == told


def test_json_tensors_go_in_and_come_out(
    client: TestClient, images: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    told = client.post(INFER, json={"id": "seven", **asked(images)}).json()
    assert (told["id"], told["model_name"]) == ("seven", NAME)
    scores, ids = told["outputs"]
    assert scores["shape"] == list(expected.shape)
    np.testing.assert_array_equal(np.array(scores["data"], np.float32), expected.ravel())
    np.testing.assert_array_equal(ids["data"], expected.argmax(-1).ravel())


def test_flat_lists_and_chosen_outputs_are_taken(
    client: TestClient, images: NDArray[np.uint8]
) -> None:
    request = asked(images, data=images.ravel().tolist())
    told = client.post(INFER, json={**request, "outputs": [{"name": "ids"}]}).json()
    assert [output["name"] for output in told["outputs"]] == ["ids"]


def test_binary_data_follows_the_json(
    client: TestClient, images: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    request = asked(images, parameters={"binary_data_size": images.size})
    del request["inputs"][0]["data"]
    request["outputs"] = [
        {"name": "ids"}, {"name": "scores", "parameters": {"binary_data": True}},
    ]  # fmt: skip
    head = json.dumps(request).encode()
    headers = {LENGTH: str(len(head))}
    answer = client.post(INFER, content=head + images.tobytes(), headers=headers)
    length = int(answer.headers[LENGTH])
    told = json.loads(answer.content[:length])
    assert told["outputs"][1]["parameters"]["binary_data_size"] == expected.nbytes
    behind = np.frombuffer(answer.content[length:], "<f4")
    np.testing.assert_array_equal(behind, expected.ravel())


def test_a_body_may_be_the_tensor_alone(
    client: TestClient, images: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    answer = client.post(INFER, content=images.tobytes(), headers={LENGTH: "0"})
    length = int(answer.headers[LENGTH])
    ids = np.frombuffer(answer.content[length + expected.nbytes :], np.uint8)
    np.testing.assert_array_equal(ids, expected.argmax(-1).ravel())


GREY = np.zeros((1, 48, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "picture"}, "expected one input named 'image', got 'picture'"),
        ({"shape": [1, 64, 48, 3]}, "expected [N, 48, 64, 3]"),
        ({"shape": [0, 48, 64, 3], "data": []}, "expected [N, 48, 64, 3]"),
        ({"shape": [-1, 48, 64, 3]}, "shape"),
        ({"shape": [2**40, 48, 64, 3]}, "shape"),
        ({"datatype": "FP32"}, "datatype 'FP32', expected UINT8"),
        ({"data": [[1, 2], [3]]}, "lists of equal length"),
        ({"data": [0.5] * GREY.size}, "whole numbers from 0 to 255"),
        ({"data": [256] * GREY.size}, "whole numbers from 0 to 255"),
        ({"data": [10**30] * GREY.size}, "whole numbers from 0 to 255"),
        ({"data": [True] * GREY.size}, "whole numbers from 0 to 255"),
        ({"data": ["x" * 1_000_000, *[""] * 1_000_000]}, "whole numbers from 0 to 255"),
        ({"data": [[7], 7]}, "lists of equal length"),
        ({"data": [[[[[[[[]]]]]]]]}, "whole numbers"),
        ({"data": []}, "whole numbers from 0 to 255"),
        ({"data": "AAAA"}, "expected a list"),
        ({"data": [0] * 7}, "data of shape [7]"),
        ({"parameters": {"binary_data_size": 5}}, "binary_data_size says 5"),
        ({"parameters": {"binary_data_size": True}}, "not a number of bytes"),
        ({"shape": [17, 48, 64, 3]}, "at most 16 pictures"),
    ],
)
def test_a_wrong_tensor_is_told(client: TestClient, changed: dict[str, Any], said: str) -> None:
    answer = client.post(INFER, json=asked(GREY, **changed))
    assert answer.status_code == (413 if "at most" in said else 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert answer.json()["error"] == answer.json()["detail"]


def test_half_a_surrogate_pair_is_told_as_any_wrong_value(client: TestClient) -> None:
    content = json.dumps(asked(GREY, parameters={"binary_data_size": "HALF"}))
    answer = client.post(INFER, content=content.replace("HALF", r"\ud800"))
    assert answer.status_code == 422
    assert "not a number of bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe", b'{"inputs": NaN}', b"[" * 100_000, b"1" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_json_is_a_bad_request(client: TestClient, content: bytes) -> None:
    answer = client.post(INFER, content=content)
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("content", [b"[]", b"7", b"null", b'{"inputs": []}', b'{"inputs": {}}'])
def test_what_is_another_json_is_a_wrong_value(client: TestClient, content: bytes) -> None:
    assert client.post(INFER, content=content).status_code == 422


@pytest.mark.parametrize(
    ("length", "status"),
    [("99", 400), ("-1", 400), ("x", 400), ("3", 400), ("9" * 5000, 400)],
)
def test_a_wrong_length_of_the_header_is_told(client: TestClient, length: str, status: int) -> None:
    answer = client.post(INFER, content=b'{"inputs": []}', headers={LENGTH: length})
    assert answer.status_code == status


def test_an_output_that_does_not_exist_is_told(client: TestClient) -> None:
    answer = client.post(INFER, json={**asked(GREY), "outputs": [{"name": "logits"}]})
    assert answer.status_code == 422
    assert "outputs.0.name" in answer.json()["detail"]


def test_a_model_that_does_not_exist_is_told_with_those_that_do(client: TestClient) -> None:
    answer = client.post("/v2/models/cup/infer", json=asked(GREY))
    assert answer.status_code == 404
    assert NAME in answer.json()["error"]


@pytest.fixture(scope="module")
def triton(serve: Serve) -> Iterator[Any]:
    library = pytest.importorskip("tritonclient.http")
    client = library.InferenceServerClient(serve().address.removeprefix("http://"))
    yield library, client
    client.close()


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_of_triton_works_unchanged(
    triton: Any, images: NDArray[np.uint8], expected: NDArray[np.float32], binary: bool
) -> None:
    library, client = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    described = client.get_model_metadata(NAME)
    [tensor] = described["inputs"]
    image = library.InferInput(tensor["name"], list(images.shape), tensor["datatype"])
    image.set_data_from_numpy(images, binary_data=binary)
    wanted = [
        library.InferRequestedOutput(output["name"], binary_data=binary)
        for output in described["outputs"]
    ]
    result = client.infer(NAME, [image], outputs=wanted, request_id="seven")
    np.testing.assert_array_equal(result.as_numpy("scores"), expected)
    np.testing.assert_array_equal(result.as_numpy("ids"), expected.argmax(-1))
    assert result.get_response()["id"] == "seven"


def test_the_client_of_triton_shows_what_was_wrong(triton: Any) -> None:
    library, client = triton
    image = library.InferInput("image", [1, 2, 2, 3], "UINT8")
    image.set_data_from_numpy(np.zeros((1, 2, 2, 3), np.uint8))
    with pytest.raises(Exception, match=r"expected \[N, 48, 64, 3\]"):
        client.infer(NAME, [image])
