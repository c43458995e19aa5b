"""One tiny network, trained and exported once for all tests, whichever worker comes first.

A conversion takes five seconds or more, so the tests share them: `once` keeps what it made in a
folder that the workers of a test run have in common, behind a lock.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from frugalseg.core.inputs import InputSpec
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network

SIZE = InputSpec(height=48, width=64)
SETTINGS = (
    "model.settings.width=0.25", "model.settings.depth=1", f"input={SIZE}", "length.steps=150",
    "batch_size=4", "validations=1", "average=0.9",
)  # fmt: skip
COLORS = np.array([(30, 30, 30), (200, 60, 40), (40, 90, 210)])

Once = Callable[[str, Callable[[Path], object]], Path]
Operators = Callable[[Path], Counter[str]]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / f"export-{name}"
        with (shared / f"export-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "done").exists():
                folder.mkdir(exist_ok=True)
                make(folder)
                (folder / "done").touch()
        return folder

    return made


@pytest.fixture(scope="session")
def data(once: Once) -> Path:
    """Eight pictures of a red box and a blue disc; the disc is missing in all but one."""
    return once("data", _draw)


def _draw(root: Path) -> None:
    for split, numbers in (("train", range(6)), ("val", range(6, 8))):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number in numbers:
            y_HW, x_HW = np.mgrid[:48, :64]
            labels_HW = np.zeros((48, 64), np.uint8)
            labels_HW[4 + number : 30, 3 * number : 30] = 1
            if number in {4, 6, 7}:
                labels_HW[(y_HW - 30) ** 2 + (x_HW - 46) ** 2 < 100] = 2
            noise_HWC = np.random.default_rng(number).integers(-20, 21, (48, 64, 3))
            image_HWC = (COLORS[labels_HW] + noise_HWC).clip(0, 255).astype(np.uint8)
            Image.fromarray(image_HWC).save(root / "images" / split / f"{number}.png")
            Image.fromarray(labels_HW).save(root / "masks" / split / f"{number}.png")
    names = yaml.safe_dump({"names": ["ground", "box", "disc"], "background": 0})
    (root / "labels.yaml").write_text(names, encoding="utf-8")


@pytest.fixture(scope="session")
def run(once: Once, data: Path) -> Path:
    """A training run of some steps."""
    from frugalseg.workflows.train import train

    return once("run", lambda folder: train(data, folder, set=SETTINGS))


@pytest.fixture(scope="session")
def artifact(once: Once, data: Path, run: Path) -> Path:
    """The run in all three formats, as the workflow writes it."""
    from frugalseg.workflows.export import export

    def make(folder: Path) -> None:
        formats = ("litert_int8", "litert", "onnx")
        export(run, data, folder / "artifact", to=formats, tolerance=100, calibration=6)

    return once("artifact", make) / "artifact"


@pytest.fixture(scope="session")
def untrained() -> Callable[..., Network]:
    """Builds a frugalnet whose batch norms are not those of a fresh one."""

    def build(**settings: Any) -> Network:
        import torch

        wanted = {"num_classes": 3, "width": 0.25, "depth": 1, **settings}
        network = Architecture(name="frugalnet", settings=wanted).build()
        noise = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.3, generator=noise)  # type: ignore[union-attr]
                    module.running_var.uniform_(0.5, 2, generator=noise)  # type: ignore[union-attr]
        return network.eval()

    return build


@pytest.fixture(scope="session")
def model_of() -> Callable[[Path], Any]:
    """Reads a .tflite file as objects."""
    from ai_edge_litert import schema_py_generated as schema

    def read(path: Path) -> Any:
        raw = bytearray(path.read_bytes())
        return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(raw, 0))

    return read


@pytest.fixture(scope="session")
def operators(model_of: Callable[[Path], Any]) -> Operators:
    """Counts the operators of a .tflite file by kind."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}

    def count(path: Path) -> Counter[str]:
        model = model_of(path)
        codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
        return Counter(names[codes[op.opcodeIndex]] for op in model.subgraphs[0].operators)

    return count
