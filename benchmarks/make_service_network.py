"""Train the network that `frugalseg serve` serves where no artifact is named.

    python benchmarks/make_service_network.py WASTE OUT [--epochs 60]

It tells six materials of waste from each other and from background. WASTE is the data set
garbage-segmentation v2 by projetannuel (CC BY 4.0); its 282 pictures for training are joined by
scenes of the embedded set `belt`, whose classes are read as materials, so that the sample pictures
of the page look familiar to it. It is scored on WASTE's validation pictures alone.
Interrupted, call it again and it goes on. `OUT/artifact` is what `src/frugalseg/serve/network`
holds.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from frugalseg.core.files import complete_folder, write_text
from frugalseg.core.labels import IGNORE
from frugalseg.data.belt.scene import belt_scene
from frugalseg.runtime.card import model_card
from frugalseg.runtime.manifest import Manifest
from frugalseg.workflows.convert import convert
from frugalseg.workflows.export import export
from frugalseg.workflows.place import CARD
from frugalseg.workflows.train import train

NAME = "waste materials"
ABOUT = """
## Data and licence

Trained on the 282 photographs for training of garbage-segmentation v2 by projetannuel (Roboflow
Universe, CC BY 4.0; stretched to 640x640 by its makers) and on 282 scenes drawn by frugalseg.
Scored on 95 other photographs of that set, many of them single objects on a white ground. The
weights may be used under CC BY 4.0, naming projetannuel and frugalseg.

It is here so that the service has something to show. For work of your own, train on your own
pictures.
"""

SCENES = 282  # as many as photographs
SEED = 7
SIZE = (256, 256)
MATERIALS = {0: 0, 1: 5, 2: 6, 3: 4, 4: 6}
"""By class of a belt scene: background, paper, bottle (plastic), aluminum (metal), nylon film."""

SETTINGS = (
    "input=256x256",
    "augment.crop=192x192",
    "augment.scale=[0.7, 1.5]",
    "precision=bf16-mixed",
    "workers=0",
    "validations=1",  # the end counts: the photographs alone would choose an early network
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
    artifact = export(run, data, wish.out / "artifact", progress=_told).folder
    manifest = Manifest.load(artifact).model_copy(update={"name": NAME})
    manifest.save(artifact)
    write_text(artifact / CARD, model_card(manifest) + ABOUT)


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
