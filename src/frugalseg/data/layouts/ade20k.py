"""ADE20K as the scene parsing challenge has it (ADEChallengeData2016): 150 classes, 0 is ignored.

    images/training/ADE_train_00000001.jpg      images/validation/ADE_val_00000001.jpg
    annotations/training/ADE_train_00000001.png annotations/validation/ADE_val_00000001.png

A mask holds 1 to 150; 0, all other things, is ignored. `objectInfo150.txt`, if there, names the
classes (columns Idx and Name, of several names the first); otherwise they are those of the
challenge. `labels.yaml` (as in the layout "folder") wins over both. Pictures for testing have no
masks and are not read.
"""

import csv
from functools import partial
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.core.labels import IGNORE, LabelSpace, palette
from frugalseg.data.dataset import Dataset, refuse
from frugalseg.data.files import files_below, pairs
from frugalseg.data.labels_yaml import from_yaml
from frugalseg.data.masks import ColorTable, rasterise
from frugalseg.data.names import class_names
from frugalseg.data.text import blamed, read_lines
from frugalseg.imaging.read import IMAGE_SUFFIXES

_SPLITS = {"training": "train", "validation": "val"}

# objectInfo150.txt of the challenge (github.com/CSAILVision/sceneparsing), the first name of each.
_NAMES = """
wall; building; sky; floor; tree; ceiling; road; bed; windowpane; grass; cabinet; sidewalk;
person; earth; door; table; mountain; plant; curtain; chair; car; water; painting; sofa; shelf;
house; sea; mirror; rug; field; armchair; seat; fence; desk; rock; wardrobe; lamp; bathtub;
railing; cushion; base; box; column; signboard; chest of drawers; counter; sand; sink;
skyscraper; fireplace; refrigerator; grandstand; path; stairs; runway; case; pool table; pillow;
screen door; stairway; river; bridge; bookcase; blind; coffee table; toilet; flower; book; hill;
bench; countertop; stove; palm; kitchen island; computer; swivel chair; boat; bar; arcade
machine; hovel; bus; towel; light; truck; tower; chandelier; awning; streetlight; booth;
television; airplane; dirt track; apparel; pole; land; bannister; escalator; ottoman; bottle;
buffet; poster; stage; van; ship; fountain; conveyer belt; canopy; washer; plaything; swimming
pool; stool; barrel; basket; waterfall; tent; bag; minibike; cradle; oven; ball; food; step;
tank; trade name; microwave; pot; animal; bicycle; lake; dishwasher; screen; blanket; sculpture;
hood; sconce; vase; traffic light; tray; ashcan; fan; pier; crt screen; plate; monitor; bulletin
board; shower; radiator; glass; clock; flag
"""


def detect(root: Path) -> bool:
    """Tell whether this is the layout of `root`."""
    return any(
        (root / "images" / folder).is_dir() and (root / "annotations" / folder).is_dir()
        for folder in _SPLITS
    )


def read(root: Path) -> Dataset:
    """List the samples and the classes, without decoding anything."""
    labels, table = _classes(root)
    problems: list[str] = []
    splits = {}
    for folder, split in _SPLITS.items():
        images = files_below(root, root / "images" / folder, IMAGE_SUFFIXES, problems)
        masks = files_below(root, root / "annotations" / folder, IMAGE_SUFFIXES, problems)
        if images or masks:
            splits[split] = pairs(images, masks, problems, place=f"annotations/{folder}/*.png")
    refuse(root, problems)
    if not splits:
        raise DataError(f"{root}: no images in images/{' or images/'.join(_SPLITS)}")
    return Dataset(
        root=root,
        format="ade20k",
        labels=labels,
        splits=splits,
        rasterise=partial(rasterise, labels=labels, table=table),
    )


def _classes(root: Path) -> tuple[LabelSpace, ColorTable]:
    if (path := root / "labels.yaml").is_file():
        return from_yaml(path)
    path = root / "objectInfo150.txt"
    listed = _read_names(path) if path.is_file() else " ".join(_NAMES.split()).split("; ")
    names = class_names(listed, path)
    with blamed(path):
        labels = LabelSpace(
            names=names,
            colors=palette(len(names)),
            from_disk={0: IGNORE} | {i + 1: i for i in range(len(names))},
        )
    return labels, ()


def _read_names(path: Path) -> list[str]:
    """Read the first name of each class, which are numbered from 1."""
    rows = csv.DictReader(read_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        named = sorted((int(row["Idx"]), row["Name"].split(",")[0].strip()) for row in rows)
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as wrong:
        raise DataError(
            f"{path}: expected the columns Idx and Name, with tabs between; {wrong!r}"
        ) from wrong
    if [number for number, _ in named] != list(range(1, len(named) + 1)):
        raise DataError(f"{path}: Idx must be 1, 2, 3 ..., got {[i for i, _ in named][:20]}")
    return [name for _, name in named]
