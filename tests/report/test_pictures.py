import base64
import io

import numpy as np
from PIL import Image

from frugalseg.report.pictures import MAX_BYTES, MAX_WIDTH, heat_map, photograph


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_large_noisy_photograph_becomes_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    uri = photograph(noise)
    assert opened(uri).size == (MAX_WIDTH, 270)
    assert len(uri) < 1.4 * MAX_BYTES


def test_a_small_picture_keeps_its_size_and_a_thin_one_keeps_a_pixel() -> None:
    assert opened(photograph(np.zeros((20, 30, 3), np.uint8))).size == (30, 20)
    assert opened(photograph(np.zeros((2000, 2, 3), np.uint8))).size == (1, 720)


def test_a_row_without_labels_is_clear_in_the_heat_map() -> None:
    alpha = np.asarray(opened(heat_map(np.array([[np.nan, np.nan], [0.0, 1.0]]))))[..., 3]
    assert alpha.tolist() == [[0, 0], [0, 255]]
