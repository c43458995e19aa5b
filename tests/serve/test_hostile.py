"""Pictures that are wrong, rare or meant to harm: each is answered, quickly and in words."""

import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz_service.py"
SIZE = (60, 40)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def noise(mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 256, (*SIZE[::-1], 3), np.uint8)).convert(mode)


def chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width: int, height: int, depth: int = 8, color: int = 2, rows: bytes = b"") -> bytes:
    """A PNG whose header says what it likes."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames = [noise(), noise().rotate(90), noise().rotate(180)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def sideways() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(), "JPEG", exif=exif)


def text_bomb() -> bytes:
    whole = png(6, 4, rows=bytes(4 * 19))
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000), 9))
    return whole[:33] + bomb * 100 + whole[33:]


def many_scans() -> bytes:
    """A JPEG whose last scan comes again and again: each costs a pass over all pixels."""
    whole = encoded(noise(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * 100 + whole[-2:]


GOOD = {
    "grey": encoded(noise("L"), "PNG"),
    "palette": encoded(noise("P"), "PNG"),
    "palette with alpha": encoded(noise("P"), "PNG", transparency=3),
    "alpha": encoded(noise("RGBA"), "PNG"),
    "grey and alpha": encoded(noise("LA"), "PNG"),
    "one bit": encoded(noise("1"), "PNG"),
    "progressive": encoded(noise(), "JPEG", progressive=True),
    "lossless WebP": encoded(noise("RGBA"), "WEBP", lossless=True),
    "animated WebP": animated("WEBP"),
    "animated PNG": animated("PNG"),
    "BMP": encoded(noise(), "BMP"),
}

BAD = {
    "text": (415, b"this is no picture"),
    "nothing": (415, b""),
    "GIF": (415, animated("GIF")),
    "TIFF": (415, encoded(noise(), "TIFF")),
    "SVG": (415, b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
    "PDF": (415, b"%PDF-1.7"),
    "pickle": (415, b"\x80\x04K\x07."),
    "bomb": (413, png(16_000, 16_000, rows=bytes(1000))),
    "largest sides": (413, png(2**31 - 1, 2**31 - 1)),
    "long side": (413, png(1, 60_000, rows=bytes(4 * 60_000))),
    "narrow": (422, png(10_001, 10)),
    "no width": (422, png(0, 10)),
    "16 bits": (422, png(6, 4, depth=16, color=0, rows=bytes(4 * 13))),
    "16 bits of colour": (422, png(6, 4, depth=16, rows=bytes(4 * 37))),
    "CMYK": (422, encoded(noise("CMYK"), "JPEG")),
    "no rows": (422, png(40, 60)),
    "wrong depth": (422, png(40, 60, depth=3)),
    "text bomb": (422, text_bomb()),
    "scans": (422, many_scans()),
    "WebP of nothing": (422, b"RIFF\x0a\0\0\0WEBPVP8 "),
    "WebP that lies": (422, encoded(noise(), "WEBP")[:12] + b"VP8X" + b"\xff" * 40),
    "BMP that lies": (422, encoded(noise(), "BMP")[:28] + b"\xff" * 30),
}


@pytest.mark.parametrize("name", GOOD)
def test_rare_pictures_are_segmented(client: TestClient, name: str) -> None:
    answer = client.post("/v1/segment", content=GOOD[name])
    assert answer.status_code == 200
    assert (answer.json()["width"], answer.json()["height"]) == SIZE


def test_a_photograph_is_turned_as_its_exif_says(client: TestClient) -> None:
    told = client.post("/v1/segment", content=sideways()).json()
    assert (told["width"], told["height"]) == SIZE[::-1]


@pytest.mark.parametrize("name", BAD)
def test_wrong_pictures_are_told_and_take_no_memory(client: TestClient, name: str) -> None:
    status, content = BAD[name]
    client.post("/v1/segment", content=b"once, so that all is loaded")
    tracemalloc.start()
    answer = client.post("/v1/segment", content=content, headers={"Content-Type": "image/png"})
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["detail"].startswith("picture: ")
    assert "Traceback" not in answer.text
    assert peak_bytes < 20_000_000


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_what_is_cut_off_is_told_wherever_it_ends(client: TestClient, kind: str) -> None:
    whole = encoded(noise(), kind)
    for length in range(1, len(whole) - 2, len(whole) // 12):
        answer = client.post("/v1/segment", content=whole[:length])
        assert answer.status_code in {415, 422}, (length, answer.text)


def test_bytes_without_an_order_are_no_picture(client: TestClient) -> None:
    random = np.random.default_rng(0)
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\0\1\0\0WEBP"):
        answer = client.post("/v1/segment", content=start + random.bytes(500))
        assert answer.status_code in {413, 415, 422}


def test_mutated_requests_do_no_harm(golden: Path) -> None:
    done = subprocess.run(
        [sys.executable, FUZZ, golden, "--requests", "300", "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
