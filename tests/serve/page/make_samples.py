"""Makes the sample pictures of the page: scenes of the belt that no training has seen.

Run it anew when the scenes change: `python tests/serve/page/make_samples.py`.
"""

import json
from pathlib import Path

from PIL import Image

import frugalseg.serve
from frugalseg.data.belt.scene import belt_scene

SAMPLES = Path(frugalseg.serve.__file__).parent / "page" / "samples"
SEED = 2026
FIRST = 3_000_000  # past the scenes of both splits
SIZE = (480, 640)
TITLES = {
    0: "Bottles, a can, a carton",
    3: "A carton over paper",
    8: "Bottles in a heap",
    10: "Among crumpled film",
}


def main() -> None:
    SAMPLES.mkdir(exist_ok=True)
    told = []
    for number, (index, title) in enumerate(TITLES.items(), start=1):
        image_HWC, _ = belt_scene(SEED, FIRST + index, SIZE)
        name = f"belt{number}"
        Image.fromarray(image_HWC).save(SAMPLES / f"{name}.jpg", quality=82, optimize=True)
        told.append({"name": name, "file": f"{name}.jpg", "title": title})
    text = json.dumps({"samples": told}, indent=2) + "\n"
    (SAMPLES / "index.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
