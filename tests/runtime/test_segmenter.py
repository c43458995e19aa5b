import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg.core.errors import ArtifactError, DataError
from frugalseg.runtime.manifest import Manifest
from frugalseg.runtime.segmenter import Segmenter, find_artifact

# Kernels of other processors may round a score the other way, where two classes are equal.
SAME_ELSEWHERE = 0.99


@pytest.fixture(scope="module")
def segmenter(golden: Path) -> Segmenter:
    return Segmenter.open(golden)


def test_the_golden_labels_come_out(
    segmenter: Segmenter, picture: Path, golden_labels: NDArray[np.uint8]
) -> None:
    labels_HW = segmenter.segment(picture).labels_HW
    assert len(np.unique(golden_labels)) >= 3
    assert (labels_HW == golden_labels).mean() >= SAME_ELSEWHERE


def test_all_ways_to_hand_in_a_picture_agree(segmenter: Segmenter, picture: Path) -> None:
    image = Image.open(picture)
    ways: list[Any] = [
        picture, str(picture), picture.read_bytes(), io.BytesIO(picture.read_bytes()),
        image, np.array(image), image.convert("RGBA"), np.asfortranarray(np.array(image)),
    ]  # fmt: skip
    first, *others = (segmenter.segment(way).labels_HW for way in ways)
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("size", [(48, 64), (20, 31), (200, 100)])
def test_labels_have_the_size_of_the_picture(segmenter: Segmenter, size: tuple[int, int]) -> None:
    result = segmenter.segment(np.zeros((*size, 3), np.uint8))
    assert result.labels_HW.shape == size
    assert result.overlay().shape == result.colored().shape == (*size, 3)
    assert result.to_dict()["height"] == size[0]


def test_shares_name_every_class_and_sum_to_one(segmenter: Segmenter, picture: Path) -> None:
    shares = segmenter.segment(picture).shares
    assert tuple(shares) == segmenter.labels.names
    assert sum(shares.values()) == pytest.approx(1)


def test_a_photograph_is_turned_as_its_exif_says(segmenter: Segmenter, picture: Path) -> None:
    image = Image.open(picture)
    turned = image.transpose(Image.Transpose.ROTATE_90)  # undone by "rotate 270 to display"
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    turned.save(stream, format="PNG", exif=exif)
    upright = segmenter.segment(picture).labels_HW
    np.testing.assert_array_equal(segmenter.segment(stream.getvalue()).labels_HW, upright)
    np.testing.assert_array_equal(segmenter.segment(Image.open(stream)).labels_HW, upright)


def test_a_grey_picture_is_taken_as_rgb_of_equal_channels(segmenter: Segmenter) -> None:
    grey_HW = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    expected = segmenter.segment(np.stack([grey_HW] * 3, axis=2)).labels_HW
    for way in (grey_HW, Image.fromarray(grey_HW)):
        np.testing.assert_array_equal(segmenter.segment(way).labels_HW, expected)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((60, 80, 3), np.float32),
        np.zeros((60, 80, 4), np.uint8),
        np.zeros((1, 60, 80, 3), np.uint8),
        np.zeros(60, np.uint8),
        np.zeros((0, 80, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_an_array_of_another_kind_is_refused(segmenter: Segmenter, array: Any) -> None:
    with pytest.raises(DataError, match=r"expected uint8 of shape \(H, W, 3\)"):
        segmenter.segment(array)


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "F"])
def test_a_pillow_image_that_needs_a_choice_is_refused(segmenter: Segmenter, mode: str) -> None:
    with pytest.raises(DataError, match="convert it first"):
        segmenter.segment(Image.new(mode, (80, 60)))


def test_bytes_that_are_no_picture_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(DataError, match="not a JPEG, PNG, BMP or WebP picture"):
        segmenter.segment(b"hello, is this a picture?" * 3)


def test_an_ignored_pixel_does_not_exist_in_the_result(segmenter: Segmenter, picture: Path) -> None:
    assert segmenter.segment(picture).labels_HW.max() < segmenter.labels.num_classes


def test_a_network_for_grey_gets_grey(
    artifact: Path, change: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    change(lambda values: values["input"].update(channels=1))
    manifest = Manifest.load(artifact)
    fed: list[NDArray[np.uint8]] = []

    def engine(pixels_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        fed.append(pixels_HWC)
        return np.zeros((12, 16, 5), np.float32)

    result = Segmenter(manifest, manifest.files[0], engine).segment(
        np.full((60, 80, 3), 9, np.uint8)
    )
    assert fed[0].shape == (48, 64, 1)
    assert set(np.unique(fed[0])) == {9}
    assert result.image_HWC.shape == (60, 80, 3)


def test_the_folder_of_a_fit_stands_for_the_artifact_in_it(artifact: Path) -> None:
    assert find_artifact(artifact.parent) == artifact
    assert Segmenter.open(artifact.parent).file.path == "model.int8.tflite"


def test_a_file_is_chosen_by_name(artifact: Path) -> None:
    assert Segmenter.open(artifact, file="model.int8.tflite").file.precision == "int8"
    with pytest.raises(ArtifactError, match=r"has no other\.onnx; it has model\.int8\.tflite"):
        Segmenter.open(artifact, file="other.onnx")


def test_what_is_no_artifact_is_refused(tmp_path: Path, picture: Path) -> None:
    with pytest.raises(ArtifactError, match="no artifact at"):
        Segmenter.open(tmp_path)
    with pytest.raises(ArtifactError, match="is a file; an artifact is a folder"):
        Segmenter.open(picture)


def test_a_changed_network_is_not_opened(artifact: Path) -> None:
    path = artifact / "model.int8.tflite"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match="damaged or was changed"):
        Segmenter.open(artifact)


def test_a_manifest_that_contradicts_its_file_is_refused_when_it_is_opened(
    artifact: Path, change: Callable[[Callable[[dict[str, Any]], None]], None]
) -> None:
    change(lambda values: values["input"].update(height=96))
    with pytest.raises(ArtifactError, match=r"expected int8 \(1, 96, 64, 3\)"):
        Segmenter.open(artifact)


def test_a_large_picture_needs_no_memory_for_scores_at_its_size(segmenter: Segmenter) -> None:
    image_HWC = np.zeros((1_500, 2_000, 3), np.uint8)
    tracemalloc.start()
    try:
        labels_HW = segmenter.labels_of(image_HWC)
        largest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    scores_at_full_size = segmenter.labels.num_classes * labels_HW.size * 4
    assert largest < scores_at_full_size / 2
