"""Makes the artifact beside it, with a picture and the labels it gives. Needs the `all` extra.

Run it anew when the format of artifacts changes: `python tests/golden/make.py`.
"""

import tempfile
from pathlib import Path

from PIL import Image

from frugalseg import Segmenter, export, train
from frugalseg.data.belt.scene import belt_scene, write_belt

HERE = Path(__file__).parent
SIZE = (48, 64)
SETTINGS = (
    "model.settings.width=0.25", "model.settings.depth=1", "length.steps=1500",
    "validations=4", "average=0.98", "augment.scale=[0.8, 1.25]",
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "belt", Path(folder) / "run"
        write_belt(data, train=60, val=12, size=SIZE)
        train(data, run, set=SETTINGS)
        export(run, data, HERE / "artifact", tolerance=3.0)
    image_HWC, _ = belt_scene(1, 0, size=(60, 80))
    Image.fromarray(image_HWC).save(HERE / "picture.png")
    labels_HW = Segmenter.open(HERE / "artifact").segment(image_HWC).labels_HW
    Image.fromarray(labels_HW).save(HERE / "labels.png")


if __name__ == "__main__":
    main()
