"""Train several networks in one command; killed and called again, it goes on.

    python benchmarks/train_study.py benchmarks/studies/first.yaml --data ../shared/data --out runs

A study is a YAML list; each entry has a name, the data folder (below --data), a recipe and
settings, and perhaps a device, for which the largest frugalnet that fits is chosen as `fit` does.
Runs end in OUT/<name>/run: `frugalseg fit ... -o OUT/<name> --resume` with the same recipe exports
one, on another machine too. Needs only what trains: no converter.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml

from frugalseg.cli.progress import shown
from frugalseg.cost.device import load_device
from frugalseg.data.catalog import open_dataset
from frugalseg.search.ladder import choose
from frugalseg.training.recipe import Model, load_recipe
from frugalseg.workflows.train import checked, input_of, train_on


def main() -> None:
    """Train each entry of the study in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", help="names of entries; default: all")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    wish = parser.parse_args()
    for entry in yaml.safe_load(wish.study.read_text(encoding="utf-8")):
        if wish.only is None or entry["name"] in wish.only:
            _train(entry, wish.study.parent, wish.data, wish.out, wish.settings)


def _train(entry: dict[str, Any], home: Path, data: Path, out: Path, settings: list[str]) -> None:
    recipe = load_recipe(home / entry["recipe"], [*entry.get("set", []), *settings])
    dataset = open_dataset(data / entry["data"])
    folder = out / entry["name"] / "run"
    with shown(quiet=False) as progress:
        report = checked(dataset, progress)
        spec = input_of(recipe, report)
        if "device" in entry:
            choice = choose(load_device(entry["device"]), spec, dataset.labels.num_classes)
            model = Model(settings=dict(choice.architecture.settings))
            recipe = recipe.model_copy(update={"model": model})
        recipe = recipe.model_copy(update={"input": str(spec)})
        going_on = (folder / "last.safetensors").exists()
        result = train_on(dataset, report, recipe, folder, going_on, progress)
    print(
        f"{entry['name']}: mIoU {result.scores.miou:.4f}, pixels {result.scores.pixel_accuracy:.4f}"
    )


if __name__ == "__main__":
    main()
