"""Shows what the camera segments, as colours over its picture. Runs on a Raspberry Pi.

    python3 show.py                   # network.rpk beside this file
    python3 show.py --model other.rpk --strength 160

Needs the AI Camera, picamera2 and numpy (apt install python3-picamera2 imx500-all). It reads the
classes from manifest.json beside it.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
RATE = 10.0  # pictures a second, until the network's own rate is known
SCORES_DIMENSIONS = 3


def main() -> None:
    """Show the camera's picture with the classes over it until Ctrl-C."""
    wish = _arguments()
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    table = color_table(manifest["labels"], wish.strength)
    try:
        picamera2, devices = import_module("picamera2"), import_module("picamera2.devices")
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}. On a Raspberry Pi: sudo apt install python3-picamera2")
    # The network is loaded before the camera is opened: picamera2 asks for this order.
    sensor = devices.IMX500(str(wish.model))
    camera = picamera2.Picamera2(sensor.camera_num)
    spec = manifest["input"]
    if sensor.get_input_size() != (spec["width"], spec["height"]):
        width, height = sensor.get_input_size()
        sys.exit(f"{wish.model} takes pictures of {height}x{width}: it is of another manifest.json")

    def draw(request: Any) -> None:
        outputs = sensor.get_outputs(request.get_metadata())
        if outputs is not None:  # not every picture comes with a result
            ids_hw = class_ids(outputs[0], manifest["labels"], transpose=wish.transpose)
            camera.set_overlay(table[ids_hw])

    camera.pre_callback = draw
    settings = camera.create_preview_configuration(
        controls={"FrameRate": wish.rate}, buffer_count=12
    )
    sensor.show_network_fw_progress_bar()
    # The network was trained on whole pictures, stretched to its input: the sensor does the same
    # with its whole area, which is what picamera2 sets unless it is told otherwise.
    try:
        camera.start(settings, show_preview=True)
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        camera.stop()


def class_ids(
    output: Any, labels: dict[str, Any], *, transpose: bool = False
) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Turn the output tensor into class ids, (h, w), with 255 for what is no class.

    picamera2 gives floats, with rows first: the sensor sends columns first, and `get_outputs`
    has put that right. `transpose` is for releases that have not.

    >>> class_ids(np.array([[[0.0, 1.0, -1.0]]]), {"names": ["road", "car"]}).tolist()
    [[0, 1, 255]]
    """
    values = np.asarray(output)
    classes = len(labels["names"])
    if values.ndim == SCORES_DIMENSIONS and values.shape[0] == classes > 1:
        values = values.argmax(0)
    elif values.ndim == SCORES_DIMENSIONS:
        values = values.reshape([side for side in values.shape if side > 1] or [1])
        values = np.atleast_2d(values)
    ids_hw = np.rint(values).astype(np.int64)
    ids_hw = np.where((ids_hw < 0) | (ids_hw >= classes), 255, ids_hw)
    return (ids_hw.T if transpose else ids_hw).astype(np.uint8)


def color_table(
    labels: dict[str, Any], strength: int = 128
) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Return red, green, blue and strength for each id, (256, 4); nothing for what is no class.

    Nothing for the background either, if the labels name one: class 0 is a class like another.
    """
    table = np.zeros((256, 4), np.uint8)
    colors: Sequence[Sequence[int]] = labels["colors"]
    for number, color in enumerate(colors):
        table[number] = (*color, strength)
    if (background := labels.get("background")) is not None:
        table[background] = 0
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=HERE / "network.rpk")
    parser.add_argument("--strength", type=int, default=128, help="of the colours, 0 to 255")
    parser.add_argument("--rate", type=float, default=RATE, help="pictures a second")
    parser.add_argument("--transpose", action="store_true", help="if rows and columns are swapped")
    wish = parser.parse_args()
    if not wish.model.is_file():
        parser.error(f"no {wish.model}: make it with imx500-package, as README.md says")
    if not 0 <= wish.strength <= np.iinfo(np.uint8).max:
        parser.error(f"strength must be 0 to 255, got {wish.strength}")
    return wish


if __name__ == "__main__":
    main()
