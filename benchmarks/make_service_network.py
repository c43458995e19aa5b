"""Train the network that `frugalseg serve` serves where no artifact is named.

    python benchmarks/make_service_network.py WASTE OUT [--epochs 60]

It tells six materials of waste from each other and from background. WASTE is the data set
garbage-segmentation v2 by projetannuel (CC BY 4.0); its 282 pictures for training are joined by
scenes of the embedded set `belt`, whose classes are read as materials, so that the sample pictures
of the page look familiar to it. It is chosen and scored on WASTE's validation pictures alone.
Interrupted, call it again and it goes on. `OUT/artifact` is what `src/frugalseg/serve/network`
holds.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from frugalseg.core.files import complete_folder
from frugalseg.core.labels import IGNORE
from frugalseg.data.belt.scene import belt_scene
from frugalseg.workflows.convert import convert
from frugalseg.workflows.export import export
from frugalseg.workflows.train import train

SCENES = 94  # a quarter of all pictures for training
SEED = 7
SIZE = (320, 320)
MATERIALS = {0: 0, 1: 5, 2: 6, 3: 4, 4: 6}
"""By class of a belt scene: background, paper, bottle (plastic), aluminum (metal), nylon film."""

SETTINGS = (
    "input=320x320",
    "augment.crop=256x256",
    "augment.scale=[0.7, 1.5]",
    "precision=bf16-mixed",
    "workers=0",
    "validations=6",
)


def main() -> None:
    """Write the data, train, and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("waste", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=float, default=60)
    wish = parser.parse_args()
    data, run = wish.out / "data", wish.out / "run"
    if not data.exists():
        write_data(wish.waste, data)
    result = train(
        data,
        run,
        recipe="default",
        set=(*SETTINGS, f"length.epochs={wish.epochs:g}"),
        resume=run.exists(),
        progress=_told,
    )
    print(f"float: mIoU {result.scores.miou:.3f}")
    print(export(run, data, wish.out / "artifact", progress=_told))


def write_data(waste: Path, out: Path) -> None:
    """Write both sets as one folder of pictures and masks, whole or not at all."""
    as_material = np.full(256, IGNORE, np.uint8)
    as_material[list(MATERIALS)] = list(MATERIALS.values())
    with complete_folder(out) as draft:
        convert(waste, draft, to="folder")
        for index in range(SCENES):
            image, labels = belt_scene(SEED, index, SIZE)
            name = f"train/belt-{index:04d}.png"
            Image.fromarray(image).save(draft / "images" / name)
            Image.fromarray(as_material[labels]).save(draft / "masks" / name)


def _told(stage: str, done: float, total: float, note: str = "") -> None:
    print(f"{stage}: {done:.0f} of {total:.0f} {note}", flush=True)


if __name__ == "__main__":
    main()
