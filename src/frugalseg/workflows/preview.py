"""Draw what the network will see: training pictures as they are drawn, cropped and changed."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from frugalseg.core.errors import ConfigError
from frugalseg.core.files import check_file
from frugalseg.core.labels import IGNORE
from frugalseg.core.progress import Progress, silent
from frugalseg.data.catalog import open_dataset
from frugalseg.data.check.sheet import POOL, draw_sheet
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.data.masks import rasterise_mask
from frugalseg.training.batches import first_pictures
from frugalseg.training.mixing import Pair
from frugalseg.training.recipe import Recipe, load_recipe
from frugalseg.workflows.train import checked, input_of

SPLIT = "augmented"


def preview_data(
    data: str | Path,
    out: str | Path,
    *,
    recipe: str | Path | Recipe = "default",
    set: Sequence[str] = (),
    count: int = 12,
    format: str | None = None,
    map: str | Path | None = None,
    progress: Progress = silent,
) -> Path:
    """Draw the first `count` pictures of a training by `recipe` as a PNG, `out`, and return it.

    They are those of `train` with the same data, recipe and settings, at the size of the crop, each
    beside its labels; ignored pixels are hatched. Another `seed` of the recipe gives others.

    Raises ConfigError and DataError as training does.
    """
    if not 1 <= count <= POOL:
        raise ConfigError(f"count must be 1 to {POOL}, got {count}")
    check_file(Path(out))
    wish = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, set)
    dataset = open_dataset(data, format=format, map=map, progress=progress)
    spec = input_of(wish, checked(dataset, progress))
    with TemporaryDirectory() as folder:
        # Pictures of their own, so that they are drawn as those of any data set are.
        root = Path(folder) / f"{dataset.root.resolve().name}, as training sees it"
        seen = _written(dataset, root, first_pictures(dataset, wish, spec, count))
        return draw_sheet(seen, Path(out), count=count)


def _written(dataset: Dataset, root: Path, pictures: Iterable[tuple[Sample, Pair]]) -> Dataset:
    """Write pictures and their train ids below `root`, numbered as they come."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    own = {i: i for i in range(dataset.labels.num_classes)} | {IGNORE: IGNORE}
    labels = replace(dataset.labels, from_disk=own)
    samples = []
    for number, (sample, (image_HWC, labels_HW)) in enumerate(pictures, start=1):
        image, label = (root / kind / f"{number}.png" for kind in ("images", "masks"))
        Image.fromarray(image_HWC.squeeze()).save(image)
        Image.fromarray(labels_HW).save(label)
        samples.append(Sample(name=f"{number:03}, {sample.name}", image=image, label=label))
    return Dataset(
        root=root,
        format="folder",
        labels=labels,
        splits={SPLIT: samples},
        rasterise=partial(rasterise_mask, labels=labels),
    )
