"""The files for the Raspberry Pi: what they say, and that the script draws what they say."""

import json
import py_compile
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.export import imx500_show
from frugalseg.export.imx500_files import SHOW, intrinsics, readme, write_texts
from frugalseg.export.imx500_show import class_ids, color_table
from frugalseg.toolchain.imx500 import ConverterReport

LABELS = LabelSpace.of(["ground", "box", "disc"], colors=[(9, 9, 9), (200, 60, 40), (40, 90, 210)])
SPEC = InputSpec(height=64, width=96)
REPORT = ConverterReport(
    runtime_bytes=121_856, model_bytes=135_008, reserved_bytes=1_024, available_bytes=8_388_480,
    fits=True, tiled=False, version="3.19.2",
)  # fmt: skip
PICAMERA2_KEYS = {"task", "inference_rate", "cpu", "input_aspect_ratio", "classes"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_texts(tmp_path, LABELS, SPEC, REPORT, "ids")
    return tmp_path


def test_labels_are_in_the_order_of_their_ids(folder: Path) -> None:
    assert (folder / "labels.txt").read_text().splitlines() == ["ground", "box", "disc"]


def test_intrinsics_say_only_what_is_known(folder: Path) -> None:
    values = json.loads((folder / "network_intrinsics.json").read_text())
    assert values == intrinsics(LABELS)
    assert set(values) < PICAMERA2_KEYS
    assert values["task"] == "segmentation"
    assert values["classes"] == {"labels": ["ground", "box", "disc"]}


def test_the_readme_says_how_to_package_and_what_the_converter_found(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    assert "\nimx500-package -i packerOut.zip -o .\n" in text
    for fact in ("121,856", "135,008", "257,888", "8,388,480", "3.19.2", "96 pixels wide, 64 high"):
        assert fact in text
    assert "No class is taken for background" in text


def test_the_readme_names_the_background_and_the_form_of_scores() -> None:
    labels = LabelSpace.of(["nothing", "thing"], background=0)
    text = readme(labels, SPEC, REPORT, "scores")
    assert "Class 0 (nothing) is background" in text
    assert "class scores, int8" in text


def test_the_script_is_the_one_that_is_tested_here_and_compiles(folder: Path) -> None:
    assert (folder / "show.py").read_bytes() == SHOW.read_bytes()
    py_compile.compile(str(folder / "show.py"), doraise=True)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (2, 3, 1)])
def test_ids_are_read_whatever_empty_side_they_have(shape: tuple[int, ...]) -> None:
    output = np.array([[0, 1, 2], [2, 2, 0]], np.float32).reshape(shape)
    assert class_ids(output, LABELS.to_dict()).tolist() == [[0, 1, 2], [2, 2, 0]]


def test_scores_are_decided() -> None:
    scores_Chw = np.zeros((3, 2, 2), np.float32)
    scores_Chw[1, 0, 1] = scores_Chw[2, 1, 0] = 1.0
    assert class_ids(scores_Chw, LABELS.to_dict()).tolist() == [[0, 1], [2, 0]]


def test_what_is_no_class_is_ignored_and_not_wrapped_around() -> None:
    output = np.array([[-2.0, 3.0, 256.0]], np.float32)
    assert class_ids(output, LABELS.to_dict()).tolist() == [[255, 255, 255]]


def test_rows_and_columns_are_swapped_on_demand() -> None:
    output = np.array([[0.0, 1.0]], np.float32)
    assert class_ids(output, LABELS.to_dict(), transpose=True).tolist() == [[0], [1]]


def test_class_0_has_its_colour_and_what_is_no_class_has_none() -> None:
    table = color_table(LABELS.to_dict(), strength=100)
    overlay_hw4 = table[np.array([[0, 1, 255]])]
    assert overlay_hw4.tolist() == [[[9, 9, 9, 100], [200, 60, 40, 100], [0, 0, 0, 0]]]


def test_background_is_left_bare() -> None:
    labels = LabelSpace.of(["thing", "nothing"], background=1)
    table = color_table(labels.to_dict())
    assert table[1].tolist() == [0, 0, 0, 0]
    assert table[0, 3] == 128


@pytest.fixture
def ready(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder as it is on a Raspberry Pi, and the script called there."""
    manifest = {"labels": LABELS.to_dict(), "input": SPEC.to_dict()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "network.rpk").write_bytes(b"network")
    monkeypatch.setattr(imx500_show, "HERE", folder)
    monkeypatch.setattr(sys, "argv", ["show.py", "--model", str(folder / "network.rpk")])


@pytest.mark.usefixtures("ready")
def test_elsewhere_the_script_says_what_is_missing() -> None:
    with pytest.raises(SystemExit, match=r"No module named 'picamera2'.*apt install"):
        imx500_show.main()


class Camera:
    """Stands for picamera2: a picture with a result, one without, then Ctrl-C."""

    pre_callback: Any = None

    def __init__(self) -> None:
        self.drawn: list[Any] = []
        self.set_overlay = self.drawn.append

    def create_preview_configuration(self, **settings: Any) -> dict[str, Any]:
        return settings

    def start(self, _settings: dict[str, Any], *, show_preview: bool) -> None:
        assert show_preview
        for output in ([np.array([[0.0, 1.0, 2.0]])], None):
            self.pre_callback(SimpleNamespace(get_metadata=lambda output=output: output))
        raise KeyboardInterrupt

    def stop(self) -> None:
        self.pre_callback = None


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("size", [(96, 64), (64, 96)])
def test_each_result_is_drawn_by_a_network_of_this_manifest_alone(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    camera = Camera()
    sensor = SimpleNamespace(
        camera_num=7, get_input_size=lambda: size, get_outputs=lambda metadata: metadata,
        show_network_fw_progress_bar=lambda: None,
    )  # fmt: skip
    picamera2: Any = ModuleType("picamera2")
    picamera2.Picamera2 = {7: camera}.__getitem__
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    devices: Any = SimpleNamespace(IMX500=lambda _file: sensor)
    monkeypatch.setitem(sys.modules, "picamera2.devices", devices)
    if size == (SPEC.width, SPEC.height):
        imx500_show.main()
        expected = [[9, 9, 9, 128], [200, 60, 40, 128], [40, 90, 210, 128]]
        assert [overlay.tolist() for overlay in camera.drawn] == [[expected]]
    else:
        with pytest.raises(SystemExit, match="takes pictures of 96x64"):
            imx500_show.main()
