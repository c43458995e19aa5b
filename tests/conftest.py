"""What every test may ask for, and the rule that no test uses the network."""

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

# albumentations asks the network for its newest release unless told not to.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

CHECKOUT = Path(__file__).parents[1]
TINY_COLORS = [(30, 30, 30), (200, 60, 40), (40, 90, 210)]

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    given = os.environ.get("FRUGALSEG_DATA")
    folder = Path(given) if given else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set FRUGALSEG_DATA to their folder")
    return folder


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A data set of six pictures, 64x96: a red box and a blue disc on dark ground."""
    root = tmp_path / "tiny"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(6):
        labels_HW = _shapes(number)
        noise_HWC = np.random.default_rng(number).integers(-20, 21, (64, 96, 3))
        shown_HW = np.where(labels_HW == 255, 0, labels_HW)
        image_HWC = (np.array(TINY_COLORS)[shown_HW] + noise_HWC).clip(0, 255)
        Image.fromarray(image_HWC.astype(np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(labels_HW).save(root / "masks" / f"{number}.png")
    labels = {
        "names": ["ground", "box", "disc"],
        "colors": [list(color) for color in TINY_COLORS],
        "ignore": [255],
        "background": 0,
    }
    (root / "labels.yaml").write_text(yaml.safe_dump(labels), encoding="utf-8")
    return root


def _shapes(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    y_HW, x_HW = np.mgrid[:64, :96]
    labels_HW = np.zeros((64, 96), np.uint8)
    labels_HW[8 + number : 40, 6 + 3 * number : 40] = 1
    labels_HW[(y_HW - 40) ** 2 + (x_HW - 70 + 2 * number) ** 2 < 15**2] = 2
    labels_HW[:2] = 255
    return labels_HW


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _local_only(getattr(socket.socket, name)))


def _local_only(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_local(address[0]):
            self.close()
            raise AssertionError(f"a test tried to reach {address}; tests use no network")
        return connect(self, address)

    return guarded


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def golden() -> Path:
    """A real artifact, exported once: see tests/golden/make.py."""
    return GOLDEN / "artifact"


@pytest.fixture(scope="session")
def picture() -> Path:
    """A scene of 60x80, which is not the size of the golden network's input."""
    return GOLDEN / "picture.png"
