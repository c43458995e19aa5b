"""The labels.yaml of the README is one that the reader takes."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from frugalseg.data.catalog import open_dataset

README = Path(__file__).parents[2] / "README.md"


def test_the_labels_file_of_the_readme_is_read(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(names:.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    (tmp_path / "labels.yaml").write_text(block[1], encoding="utf-8")
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in ("a", "b", "c", "d", "e", "f"):
        Image.new("RGB", (32, 32)).save(tmp_path / "images" / f"{name}.png")
        values_HW = np.zeros((32, 32), np.uint8)
        values_HW[:8], values_HW[8:16], values_HW[16:20] = 128, 255, 200
        Image.fromarray(values_HW).save(tmp_path / "masks" / f"{name}.png")
    dataset = open_dataset(tmp_path)
    sample = next(sample for samples in dataset.splits.values() for sample in samples)
    assert sorted(set(dataset.load(sample)[1].ravel().tolist())) == [0, 1, 2, 255]
