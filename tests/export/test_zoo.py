"""Every network of the catalog goes all the way: trained a little, exported through the gate."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from frugalseg.models import regseg, segformer
from frugalseg.models.catalog import MODELS
from frugalseg.workflows.export import export
from frugalseg.workflows.train import train

Once = Callable[[str, Callable[[Path], object]], Path]
COLORS = np.array([(90, 90, 90), (200, 60, 40), (40, 90, 210)])


RECIPE = (
    "input=64x64", "length.steps=120", "batch_size=4", "validations=1", "average=0.9",
    "augment.scale=[1, 1]", "augment.color=0", "optimizer.lr=1e-2", "loss.class_weights=none",
)  # fmt: skip
NARROW = 0.5
# As few blocks of each kind as there can be: converters take their time for each operator.
SHALLOW: Mapping[str, Mapping[str, int | str]] = {
    "cgnet": {"depth4": 2, "depth8": 2},
    "dabnet": {"depth4": 1, "depth8": 2},
    "ddrnet": {"depth": 1},
    "drbanet": {"depth": 1},
    "enet": {"decoder_depth": 1},
    "fastscnn": {"depth": 1},
    "frugalnet": {"depth": 1},
    "lraspp": {"backbone": "mobilenetv3-small"},
    "pidnet": {"depth": 1},
}
# The same for networks whose number of blocks is no setting.
FEW_BLOCKS: Mapping[str, Mapping[str, object]] = {
    "attendseg": {"BLOCKS": (1, 1, 1)},
    "bisenet": {"XCEPTION_STAGES": ((16, 2), (32, 2), (64, 2))},
    "icnet": {"STAGES": ((32, 1), (64, 2), (128, 2), (256, 1))},
    "regseg": {"DILATIONS": (regseg.WHOLE, 2, 14), "BLOCKS8": 2},
    "segformer": {"SIZES": {"b0": segformer.Size(32, (1, 1, 1, 1), 128)}},
}
LEARNT = 0.5  # mIoU of a network whose gate means something: more than ground and one of two boxes
MAY_LOSE = 2.0  # mIoU points; four pictures of 64x64 are few


@pytest.fixture(scope="session")
def scenes(once: Once) -> Path:
    """Pictures with a red and a blue box on grey each."""
    return once("scenes", _draw)


def _draw(root: Path) -> None:
    for split, count in (("train", 12), ("val", 4)):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            random = np.random.default_rng((number, count))
            labels_HW = np.zeros((64, 64), np.uint8)
            for label in (1, 2):
                y, x = random.integers(0, 32, 2)
                labels_HW[y : y + 28, x : x + 28] = label
            noise_HWC = random.integers(-20, 21, (64, 64, 3))
            image_HWC = (COLORS[labels_HW] + noise_HWC).clip(0, 255).astype(np.uint8)
            Image.fromarray(image_HWC).save(root / "images" / split / f"{number}.png")
            Image.fromarray(labels_HW).save(root / "masks" / split / f"{number}.png")
    names = yaml.safe_dump({"names": ["ground", "red", "blue"], "background": 0})
    (root / "labels.yaml").write_text(names, encoding="utf-8")


DEPLOY = {
    "cgnet": ("act=relu",),
    "dabnet": ("act=relu",),
    "enet": ("act=relu", "unpool=bilinear"),
    "lraspp": ("act=relu",),
    "segformer": ("act=relu", "head=sum"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variant"), [*((name, ()) for name in sorted(MODELS)), *DEPLOY.items()]
)
def test_every_network_passes_the_gate_in_all_formats(
    name: str,
    variant: tuple[str, ...],
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for constant, few in FEW_BLOCKS.get(name, {}).items():
        monkeypatch.setattr(f"frugalseg.models.{name}.{constant}", few)
    settings = [f"model.name={name}", *(f"model.settings.{each}" for each in variant)]
    if "width" in MODELS[name].settings:
        settings.append(f"model.settings.width={NARROW}")
    settings += [f"model.settings.{key}={less}" for key, less in SHALLOW.get(name, {}).items()]
    run = train(scenes, tmp_path / "run", set=(*RECIPE, *settings))
    assert run.scores.miou > LEARNT
    # A variant is there for its int8 file.
    formats = ("litert_int8",) if variant else ("litert_int8", "litert", "onnx")
    found = export(
        run.folder, scenes, tmp_path / "artifact", to=formats, tolerance=MAY_LOSE, calibration=12
    )
    assert len(found.manifest.files) == len(formats)
