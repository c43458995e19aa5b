"""`/v1/segment`: every form of answer, against what the segmenter gives for the same picture."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from frugalseg.runtime.segmenter import Segmentation, Segmenter


@pytest.fixture(scope="module")
def expected(golden: Path, picture: Path) -> Segmentation:
    return Segmenter.open(golden).segment(picture)


def decoded(content: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(content)))


def test_json_tells_of_every_class(
    client: TestClient, body: bytes, expected: Segmentation, golden: Path
) -> None:
    answer = client.post("/v1/segment", content=body)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["width"], told["height"]) == (80, 60)
    assert {c["name"]: c["share"] for c in told["classes"]} == expected.shares
    assert told["classes"][1]["color"] == "#deb862"
    assert sum(c["pixels"] for c in told["classes"]) == 80 * 60
    manifest = json.loads((golden / "manifest.json").read_text())
    assert told["model"] == manifest["name"] == answer.headers["X-Model"]
    assert told["sha256"] == manifest["files"][0]["sha256"] == answer.headers["X-Artifact-SHA256"]


def test_the_ids_are_those_of_the_segmenter(
    client: TestClient, body: bytes, expected: Segmentation
) -> None:
    answer = client.post("/v1/segment", params={"format": "ids"}, content=body)
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).mode == "L"
    np.testing.assert_array_equal(decoded(answer.content), expected.labels_HW)


def test_colors_and_overlay_are_those_of_the_segmenter(
    client: TestClient, body: bytes, expected: Segmentation
) -> None:
    color = client.post("/v1/segment", params={"format": "color"}, content=body)
    picture = Image.open(io.BytesIO(color.content))
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.array(picture.convert("RGB")), expected.colored())
    for alpha in (0.0, 0.25):
        query: dict[str, Any] = {"format": "overlay", "alpha": alpha}
        overlay = client.post("/v1/segment", params=query, content=body)
        np.testing.assert_array_equal(decoded(overlay.content), expected.overlay(alpha))


def test_npz_holds_ids_and_native_scores(
    client: TestClient, body: bytes, expected: Segmentation, golden: Path
) -> None:
    query: dict[str, Any] = {"format": "npz", "scores": True}
    answer = client.post("/v1/segment", params=query, content=body)
    arrays = np.load(io.BytesIO(answer.content))
    np.testing.assert_array_equal(arrays["ids"], expected.labels_HW)
    scores_hwC = Segmenter.open(golden).scores(expected.image_HWC)
    np.testing.assert_array_equal(arrays["scores"], scores_hwC)


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("text/html, image/*;q=0.5, application/json;q=0.4", "image/png"),
        ("application/x-npz", "application/x-npz"),
    ],
)
def test_without_a_format_accept_decides(
    client: TestClient, body: bytes, accept: str, given: str
) -> None:
    answer = client.post("/v1/segment", headers={"Accept": accept}, content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, given)


def test_what_cannot_be_given_is_not_acceptable(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/segment", headers={"Accept": "text/html"}, content=body)
    assert answer.status_code == 406
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("size", "shape"), [("picture", (60, 80)), ("native", (24, 32)), ("30x50", (30, 50))]
)
def test_labels_come_in_the_size_asked_for(
    client: TestClient, body: bytes, golden: Path, size: str, shape: tuple[int, int]
) -> None:
    if size == "native":
        native = Segmenter.open(golden).scores(np.zeros((60, 80, 3), np.uint8)).shape
        shape = (native[0], native[1])
    for form in ("ids", "overlay"):
        query = {"format": form, "size": size}
        answer = client.post("/v1/segment", params=query, content=body)
        assert decoded(answer.content).shape[:2] == shape


def test_a_mirrored_picture_gives_mirrored_labels_with_flip(
    client: TestClient, body: bytes
) -> None:
    mirror = io.BytesIO()
    Image.open(io.BytesIO(body)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirror, "PNG")
    query = {"format": "npz", "tta": "flip", "scores": "true"}
    one, other = (
        np.load(io.BytesIO(client.post("/v1/segment", params=query, content=content).content))
        for content in (body, mirror.getvalue())
    )
    np.testing.assert_allclose(one["scores"], other["scores"][:, ::-1], atol=1e-6)


def test_scores_say_how_sure_the_network_is(client: TestClient, body: bytes) -> None:
    query = {"scores": "true", "regions": "rle"}
    told = client.post("/v1/segment", params=query, content=body).json()
    for entry in told["classes"]:
        assert (entry["score"] is None) == (entry["pixels"] == 0)
    for one in (1, 2):
        mine = [region for region in told["regions"] if region["class"] == one]
        weighed = sum(region["score"] * region["pixels"] for region in mine)
        total = sum(region["pixels"] for region in mine)
        assert weighed / total == pytest.approx(told["classes"][one]["score"])
        assert 1 / 5 < told["classes"][one]["score"] <= 1


def test_regions_leave_out_the_background_and_begin_with_the_largest(
    client: TestClient, body: bytes
) -> None:
    told = client.post("/v1/segment", params={"regions": "polygons"}, content=body).json()
    pixels = [region["pixels"] for region in told["regions"]]
    assert pixels == sorted(pixels, reverse=True)
    assert {region["class"] for region in told["regions"]} == {1, 2, 3}
    assert sum(pixels) == sum(c["pixels"] for c in told["classes"] if c["id"] != 0)
    assert told["regions_left_out"] == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"format": "ids", "scores": "true"}, "scores come in json and npz"),
        ({"format": "ids", "regions": "rle"}, "regions come in json"),
        ({"alpha": "0.5"}, "alpha is for an overlay"),
        ({"alpha": "2", "format": "overlay"}, "alpha"),
        ({"size": "0x7"}, "size"),
        ({"format": "jpeg"}, "format"),
        ({"formt": "json"}, "formt: no such parameter"),
        ({"format": ["ids", "json"]}, "format: is there more than once"),
    ],
)
def test_what_does_not_go_together_is_told(
    client: TestClient, body: bytes, query: dict[str, str | list[str]], said: str
) -> None:
    answer = client.post("/v1/segment", params=query, content=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_a_part_of_a_form_is_as_good_as_the_body_itself(client: TestClient, body: bytes) -> None:
    raw = client.post("/v1/segment", content=body)
    form = client.post("/v1/segment", files={"image": ("a.png", body)})
    assert form.json() == raw.json()


def test_an_answer_says_how_long_each_phase_took(client: TestClient, body: bytes) -> None:
    timing = client.post("/v1/segment", content=body).headers["Server-Timing"]
    assert [part.split(";dur=")[0] for part in timing.split(", ")] == [
        "queue", "decode", "infer", "encode",
    ]  # fmt: skip


def test_a_batch_has_a_result_or_a_problem_for_each_picture(
    client: TestClient, body: bytes
) -> None:
    files = [("image", ("good.png", body)), ("image", ("bad.png", b"not a picture"))]
    answer = client.post("/v1/segment/batch", files=files)
    good, bad = answer.json()["results"]
    assert answer.status_code == 200
    assert good.pop("filename") == "good.png"
    assert good == client.post("/v1/segment", content=body).json()
    assert (bad["filename"], bad["problem"]["status"]) == ("bad.png", 415)


def test_a_batch_of_pictures_comes_as_a_zip(
    client: TestClient, body: bytes, expected: Segmentation
) -> None:
    files = [("image", ("../../é /x.png", body)), ("image", ("bad.png", b"not a picture"))]
    answer = client.post("/v1/segment/batch", params={"format": "ids"}, files=files)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["001_x.png", "002_bad.problem.json"]
        np.testing.assert_array_equal(decoded(archive.read("001_x.png")), expected.labels_HW)
        assert json.loads(archive.read("002_bad.problem.json"))["problem"]["status"] == 415
