"""What is loaded when, seen from a fresh interpreter. Runs without torch too."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
}
TORCH_FREE = sorted(CONTRACTS["torch-line"]["source_modules"])
HEAVY = ["torch", "cv2", "matplotlib", "albumentations", "onnx", "onnxruntime", "scipy"]

IMPORT_ALL = """
import importlib, pkgutil
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


def loaded_after(code: str, names: list[str]) -> list[str]:
    """Run `code` in a fresh interpreter and say which of `names` it has loaded."""
    ask = f"\nimport sys; print(*[name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + ask],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_loads_no_library() -> None:
    libraries = [*HEAVY, "numpy", "PIL", "pydantic", "typer", "yaml", "ai_edge_litert"]
    assert loaded_after("import frugalseg", libraries) == []


@pytest.mark.parametrize("package", TORCH_FREE)
def test_what_is_below_the_torch_line_loads_no_heavy_library(package: str) -> None:
    assert loaded_after(IMPORT_ALL.format(package=package), HEAVY) == []


def test_the_command_line_starts_without_heavy_libraries() -> None:
    assert loaded_after("import frugalseg.cli.main", HEAVY) == []


def test_the_segmenter_is_reached_by_its_public_name_without_torch() -> None:
    assert loaded_after("from frugalseg import Segmenter", HEAVY) == []


def test_every_layer_below_the_bridge_is_held_to_be_free_of_torch() -> None:
    layers = CONTRACTS["layers"]["layers"]
    below = " | ".join(layers[layers.index("trace") + 1 :]).split(" | ")
    there = [name for name in below if (ROOT / "src/frugalseg" / name.strip("()")).is_dir()]
    assert sorted(f"frugalseg.{name.strip('()')}" for name in there) == TORCH_FREE


def test_the_run_without_torch_covers_the_same_packages() -> None:
    line = next(
        line
        for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
        if line.startswith("BELOW_TORCH := ")
    )
    tested = line.removeprefix("BELOW_TORCH := ").split()
    assert sorted(f"frugalseg.{name}" for name in tested) == TORCH_FREE
    assert [name for name in tested if not (ROOT / "tests" / name).is_dir()] == []
