"""What builds the networks of which the IMX500's converter told the memory."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

BUILDER = Path(__file__).parents[2] / "benchmarks" / "imx500_nets.py"


@pytest.fixture(scope="session")
def nets() -> Any:
    spec = spec_from_file_location("imx500_nets", BUILDER)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
