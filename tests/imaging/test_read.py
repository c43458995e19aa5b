import contextlib
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frugalseg.core.errors import DataError
from frugalseg.imaging.read import (
    has_colors,
    read_color_mask,
    read_image,
    read_mask,
    read_resized,
    read_size,
)
from frugalseg.imaging.resize import resize_image

RED_OVER_BLUE = np.zeros((8, 12, 3), np.uint8)
RED_OVER_BLUE[:4, :, 0] = 200
RED_OVER_BLUE[4:, :, 2] = 200


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return stream.getvalue()


def png(width: int, height: int, bit_depth: int = 8, color_type: int = 2) -> bytes:
    """A PNG whose header promises a size; the pixels are one compressed zero."""
    return png_of(struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, 0), b"\0")


def grey_png(row: bytes, width: int, bit_depth: int) -> bytes:
    """A PNG of one packed row, such as Pillow itself does not write."""
    return png_of(struct.pack(">IIBBBBB", width, 1, bit_depth, 0, 0, 0, 0), b"\0" + row)


def png_of(header: bytes, pixels: bytes) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(name + data))
        parts += [struct.pack(">I", len(data)), name, data, checksum]
    return b"".join(parts)


class TestPictures:
    @pytest.mark.parametrize("format", ["PNG", "BMP"])
    def test_lossless_pixels_are_exact(self, format: str) -> None:
        data = encoded(Image.fromarray(RED_OVER_BLUE), format)
        np.testing.assert_array_equal(read_image(data), RED_OVER_BLUE)

    @pytest.mark.parametrize("format", ["JPEG", "WEBP"])
    def test_lossy_formats_are_read(self, format: str) -> None:
        image_HWC = read_image(encoded(Image.fromarray(RED_OVER_BLUE), format))
        assert image_HWC.shape == RED_OVER_BLUE.shape
        assert image_HWC[0, 0, 0] > 150

    def test_path_bytes_and_stream_agree(self, tmp_path: Path) -> None:
        data = encoded(Image.fromarray(RED_OVER_BLUE))
        path = tmp_path / "a.png"
        path.write_bytes(data)
        for source in (path, data, io.BytesIO(data)):
            np.testing.assert_array_equal(read_image(source), RED_OVER_BLUE)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_every_plain_mode_is_converted(self, mode: str, channels: int) -> None:
        image_HWC = read_image(
            encoded(Image.new("RGB", (6, 4), "white").convert(mode)), channels=channels
        )
        assert image_HWC.shape == (4, 6, channels)
        assert image_HWC.min() == 255

    def test_alpha_is_dropped(self) -> None:
        data = encoded(Image.new("RGBA", (6, 4), (10, 20, 30, 0)))
        assert read_image(data)[0, 0].tolist() == [10, 20, 30]

    def test_palette_with_transparency_is_read_without_a_warning(self) -> None:
        image = Image.new("P", (4, 4), 1)
        image.putpalette([0, 0, 0, 9, 8, 7])
        data = encoded(image, transparency=b"\x00\xff")
        assert read_image(data)[0, 0].tolist() == [9, 8, 7]

    def test_exif_rotation_is_applied(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: rotate clockwise to show it
        data = encoded(Image.fromarray(RED_OVER_BLUE), "JPEG", quality=95, exif=exif)
        image_HWC = read_image(data)
        assert image_HWC.shape == (12, 8, 3)
        assert image_HWC[6, 7, 0] > 150  # red was above, so it is on the right now
        assert image_HWC[6, 0, 2] > 150

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("turn", [1, 6])
    def test_the_size_by_the_header_is_that_of_the_picture(self, format: str, turn: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = turn
        data = encoded(Image.fromarray(RED_OVER_BLUE), format, exif=exif)
        assert read_size(data) == read_image(data).shape[:2]

    @pytest.mark.parametrize("size", [(300, 400), (301, 410), (100, 130), (1200, 1600), (1300, 99)])
    def test_a_large_jpeg_is_resized_as_if_it_had_been_decoded_whole(
        self, size: tuple[int, int]
    ) -> None:
        y, x = np.mgrid[:1200, :1600]
        picture = Image.fromarray(np.stack([x // 8, y // 8, x // 16], axis=-1).astype(np.uint8))
        data = encoded(picture, "JPEG", quality=95)
        small_HWC, own = read_resized(data, size)
        wanted_HWC = resize_image(read_image(data), size)
        assert small_HWC.shape == (*size, 3)
        assert np.abs(small_HWC.astype(int) - wanted_HWC).max() < 4
        assert own == (1200, 1600)

    def test_a_turned_jpeg_is_resized_as_it_is_held(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        tall = np.zeros((1200, 1600, 3), np.uint8)
        tall[:600, :, 0] = 200
        data = encoded(Image.fromarray(tall), "JPEG", exif=exif)
        small_HWC, own = read_resized(data, (400, 300))
        assert own == (1600, 1200)
        assert small_HWC.shape == (400, 300, 3)
        assert small_HWC[:, 160:, 0].min() > 150
        assert small_HWC[:, :140, 0].max() < 50

    def test_other_formats_are_resized_as_well(self) -> None:
        data = encoded(Image.fromarray(RED_OVER_BLUE))
        wanted_HWC = resize_image(RED_OVER_BLUE, (3, 5))
        small_HWC, own = read_resized(data, (3, 5))
        assert np.array_equal(small_HWC, wanted_HWC)
        assert own == (8, 12)

    def test_real_greyscale_photograph_is_read(self, real_data: Path) -> None:
        path = real_data / "fixtures" / "pictures" / "greyscale_464x640.jpg"
        assert read_image(path).shape[2] == 3


class TestRefusedPictures:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP"])
    @pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
    def test_truncated_file(self, format: str, kept: float) -> None:
        noise_HWC = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        data = encoded(Image.fromarray(noise_HWC), format)
        with pytest.raises(DataError):
            read_image(data[: int(len(data) * kept)])

    def test_truncated_jpeg_names_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "half.jpg"
        data = encoded(Image.fromarray(RED_OVER_BLUE), "JPEG")
        path.write_bytes(data[: len(data) - 40])
        with pytest.raises(DataError, match=r"half\.jpg: damaged or truncated"):
            read_image(path)

    def test_16_bit_grey(self) -> None:
        data = encoded(Image.fromarray(np.full((4, 6), 1000, np.uint16)))
        with pytest.raises(DataError, match=r"16 bits.*convert it to 8 bits"):
            read_image(data)

    def test_16_bit_rgb_which_pillow_would_cut_down_silently(self) -> None:
        with pytest.raises(DataError, match="16 bits"):
            read_image(png(4, 4, bit_depth=16))

    def test_cmyk_jpeg(self) -> None:
        with pytest.raises(DataError, match="CMYK; convert it to RGB"):
            read_image(encoded(Image.new("CMYK", (8, 8)), "JPEG"))

    @pytest.mark.parametrize(
        ("width", "height", "reason"),
        [
            (1, 60_000, "side over"),
            (60_000, 1, "side over"),
            (101, 1, "longer than wide"),
            (20_000, 300, "side over"),
            (10_000, 10_000, "more than 64,000,000 pixels"),
            (60_000, 60_000, "more than 64,000,000 pixels"),
            (2**31 - 1, 2**31 - 1, "more than 64,000,000 pixels"),
        ],
    )
    def test_header_of_an_impossible_size(self, width: int, height: int, reason: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow would warn of a bomb, or raise its own error
            with pytest.raises(DataError, match=reason):
                read_image(png(width, height))

    def test_limit_of_pixels_is_the_callers(self) -> None:
        data = encoded(Image.fromarray(RED_OVER_BLUE))
        with pytest.raises(DataError, match="more than 50 pixels"):
            read_image(data, max_pixels=50)

    @pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a" + bytes(40), b"BM", b"\xff\xd8\xff"])
    def test_something_else(self, data: bytes) -> None:
        with pytest.raises(DataError):
            read_image(data)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such file"):
            read_image(tmp_path / "none.jpg")

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP"])
    def test_flipped_bytes_raise_nothing_but_data_errors(self, format: str) -> None:
        rng = np.random.default_rng(1)
        whole = np.frombuffer(encoded(Image.fromarray(RED_OVER_BLUE), format), np.uint8)
        for _ in range(150):
            damaged = whole.copy()
            damaged[rng.integers(len(whole), size=3)] = rng.integers(0, 256, 3)
            with contextlib.suppress(DataError):
                read_image(damaged.tobytes())


class TestMasks:
    VALUES = np.array([[0, 1, 2], [3, 11, 255]], np.uint8)

    def saved(self, folder: Path, image: Image.Image, name: str = "m.png") -> Path:
        path = folder / name
        image.save(path)
        return path

    @pytest.mark.parametrize("name", ["m.png", "m.bmp"])
    def test_grey_values_are_exact(self, tmp_path: Path, name: str) -> None:
        path = self.saved(tmp_path, Image.fromarray(self.VALUES), name)
        np.testing.assert_array_equal(read_mask(path), self.VALUES)

    def test_palette_gives_indices_not_colours(self, tmp_path: Path) -> None:
        image = Image.fromarray(self.VALUES)
        indexed = Image.frombytes("P", image.size, image.tobytes())
        indexed.putpalette([255 - i // 3 for i in range(768)])
        np.testing.assert_array_equal(read_mask(self.saved(tmp_path, indexed)), self.VALUES)

    def test_bilevel_mask_is_0_and_1(self, tmp_path: Path) -> None:
        bits = np.array([[True, False]])
        assert read_mask(self.saved(tmp_path, Image.fromarray(bits))).tolist() == [[1, 0]]

    @pytest.mark.parametrize(
        ("bit_depth", "row", "values"),
        [(1, b"\x40", [0, 1]), (2, b"\x70", [1, 3]), (4, b"\x0b", [0, 11])],
    )
    def test_narrow_grey_is_not_stretched(
        self, tmp_path: Path, bit_depth: int, row: bytes, values: list[int]
    ) -> None:
        path = tmp_path / "m.png"
        path.write_bytes(grey_png(row, 2, bit_depth))
        assert read_mask(path).tolist() == [values]

    def test_colours_are_refused_with_a_way_out(self, tmp_path: Path) -> None:
        path = self.saved(tmp_path, Image.fromarray(RED_OVER_BLUE))
        with pytest.raises(DataError, match=r"m\.png: mask has colours \(RGB\).*labels\.yaml"):
            read_mask(path)
        assert has_colors(path)
        np.testing.assert_array_equal(read_color_mask(path), RED_OVER_BLUE)

    def test_16_bits_are_refused(self, tmp_path: Path) -> None:
        path = self.saved(tmp_path, Image.fromarray(np.ones((2, 2), np.uint16)))
        with pytest.raises(DataError, match="16 bits"):
            read_mask(path)

    def test_jpeg_is_refused_whatever_its_name(self, tmp_path: Path) -> None:
        path = tmp_path / "m.png"
        path.write_bytes(encoded(Image.fromarray(self.VALUES), "JPEG"))
        with pytest.raises(DataError, match="lossy"):
            read_mask(path)

    def test_bomb_is_refused_by_its_header(self, tmp_path: Path) -> None:
        path = tmp_path / "m.png"
        path.write_bytes(png(60_000, 60_000, color_type=0))
        with pytest.raises(DataError, match="more than"):
            read_mask(path)


def test_a_jpeg_of_more_scans_than_anyone_writes_is_refused() -> None:
    stream = io.BytesIO()
    Image.effect_noise((40, 30), 50).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last = whole.rindex(b"\xff\xda")
    assert read_image(whole).shape == (30, 40, 3)
    with pytest.raises(DataError, match="106 scans"):
        read_image(whole[:-2] + whole[last:-2] * 101 + whole[-2:])
