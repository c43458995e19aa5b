"""The golden artifact, and a copy of it to damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def golden_labels() -> NDArray[np.uint8]:
    return np.array(Image.open(GOLDEN / "labels.png"))


@pytest.fixture
def artifact(golden: Path, tmp_path: Path) -> Path:
    """A copy of the golden artifact that a test may damage."""
    return Path(shutil.copytree(golden, tmp_path / "artifact"))


@pytest.fixture
def change(artifact: Path) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    """Rewrites the manifest of the copy."""

    def rewrite(edit: Callable[[dict[str, Any]], None]) -> None:
        path = artifact / "manifest.json"
        values = json.loads(path.read_text(encoding="utf-8"))
        edit(values)
        path.write_text(json.dumps(values), encoding="utf-8")

    return rewrite
