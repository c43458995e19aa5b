"""The files that a Raspberry Pi needs beside packerOut.zip: labels, intrinsics, README, script."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frugalseg.core.files import write_json, write_text
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.toolchain.imx500 import PACKAGE, ConverterReport

SHOW = Path(__file__).with_name("imx500_show.py")
INTRINSICS = "network_intrinsics.json"
LABELS = "labels.txt"
README = "README.md"
SCRIPT = "show.py"


def write_texts(
    folder: Path, labels: LabelSpace, spec: InputSpec, report: ConverterReport, output: str
) -> None:
    """Write labels.txt, network_intrinsics.json, README.md and show.py."""
    # One name a line: line i, counted from 0, is class i.
    write_text(folder / LABELS, "".join(f"{name}\n" for name in labels.names))
    write_json(folder / INTRINSICS, intrinsics(labels))
    write_text(folder / README, readme(labels, spec, report, output))
    shutil.copyfile(SHOW, folder / SCRIPT)


def intrinsics(labels: LabelSpace) -> Mapping[str, Any]:
    """Say what picamera2 can be told of a network, as its schema has it; only what is known.

    There is no `inference_rate`: it is measured on the sensor. There is no `input_aspect_ratio`:
    the whole picture is stretched to the input, as in training.

    >>> intrinsics(LabelSpace.of(["road"]))
    {'task': 'segmentation', 'classes': {'labels': ['road']}}
    """
    return {"task": "segmentation", "classes": {"labels": list(labels.names)}}


def readme(labels: LabelSpace, spec: InputSpec, report: ConverterReport, output: str) -> str:
    """Write what to do with the folder on a Raspberry Pi, and what its tensors mean."""
    background = (
        "No class is taken for background."
        if labels.background is None
        else f"Class {labels.background} ({labels.names[labels.background]}) is background."
    )
    return f"""# A segmentation network for Sony's IMX500

On a Raspberry Pi with the AI Camera, in this folder:

```sh
sudo apt install imx500-all imx500-tools python3-picamera2
imx500-package -i {PACKAGE} -o .
python3 show.py
```

The second line packages the network as `network.rpk`, the third shows the camera's picture with the
classes over it. The first start takes minutes: the network is sent to the sensor.

## Memory

As the maker's converter, version {report.version}, reports:

| | bytes |
|---|---|
| while it runs | {report.runtime_bytes:,} |
| network | {report.model_bytes:,} |
| reserved | {report.reserved_bytes:,} |
| together | {report.total_bytes:,} |
| on the sensor | {report.available_bytes:,} |

## Input

{spec.width} pixels wide, {spec.height} high, RGB. The sensor stretches its whole picture to that
size, as in training; it cannot pad it. Where the pictures in training had other proportions, crop
the sensor's to those. The tensor is int8 and holds pixel - 128, which is what the sensor feeds to a
signed input; `dnnParams.xml` says so: `format="signed"`, scale 1/{spec.std:g}.

## Output

{_output(output)}

Ids count from 0, in the order of `labels.txt`. {background} There is no id for "ignore": the
network always decides.

picamera2's `get_outputs` returns floats with rows first. The sensor sends columns first; who reads
the tensor in another way (AITRIOS) must transpose it. `show.py --transpose` is for a release of
picamera2 that does not.

`network_intrinsics.json` holds what picamera2 may know of the network. The script
`rpk_update_network_intrinsics` of raspberrypi/imx500-models writes it into `network.rpk`. A network
without it runs as well: `show.py` reads `manifest.json`.

## Not known here

The rate on the sensor, and its scores there. `network.onnx` is the quantised network that was
converted; its scores, computed on a PC, are in `manifest.json`.
"""


def _output(output: str) -> str:
    if output == "ids":
        return (
            "One tensor of class ids, int16, at the network's own size: enlarge it by repetition."
        )
    return (
        "One tensor of class scores, int8, (class, row, column), at the network's own size: enlarge"
        " it bilinearly, then take the largest."
    )
