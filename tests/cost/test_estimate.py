"""The estimate against files that export has really written: an error here is a bug."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("litert_torch")
pytest.importorskip("ai_edge_quantizer")

from frugalseg.core.inputs import InputSpec  # noqa: E402
from frugalseg.cost.footprint import footprint  # noqa: E402
from frugalseg.cost.graph import Graph  # noqa: E402
from frugalseg.cost.peak import peak  # noqa: E402
from frugalseg.cost.tflite import read_tflite  # noqa: E402
from frugalseg.export.litert_int8 import export_litert_int8  # noqa: E402
from frugalseg.models.frugalnet import FrugalNet, FrugalNetConfig  # noqa: E402
from frugalseg.trace import trace  # noqa: E402


# An even size, and an odd one, where SAME pads differently.
@pytest.fixture(scope="module", params=[(0.25, 1, "96x128"), (0.5, 2, "97x131")], ids=str)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Graph, Path]:
    width, depth, size = request.param
    spec = InputSpec.parse(size)
    net = FrugalNet(FrugalNetConfig(num_classes=11, width=width, depth=depth)).eval()
    noise = np.random.default_rng(0).integers(0, 256, (*spec.size, 3), np.uint8)
    path = tmp_path_factory.mktemp("estimate") / "net.tflite"
    export_litert_int8(net, spec, path, pictures=[noise])
    return trace(net, spec), path


@pytest.mark.slow
class TestEstimateAgainstFile:
    def test_peak_memory_is_equal_to_the_byte_at_each_operator(
        self, both: tuple[Graph, Path]
    ) -> None:
        estimated, measured = peak(both[0]), peak(read_tflite(both[1]))
        assert estimated.bytes == measured.bytes
        assert [m.bytes for m in estimated.timeline] == [m.bytes for m in measured.timeline]

    def test_operators_and_macs_are_equal(self, both: tuple[Graph, Path]) -> None:
        estimated, measured = both[0], read_tflite(both[1])
        assert [op.kind for op in estimated.ops] == [op.kind for op in measured.ops]
        assert [op.macs for op in estimated.ops] == [op.macs for op in measured.ops]

    def test_the_file_is_estimated_within_5_percent_and_hardly_ever_too_low(
        self, both: tuple[Graph, Path]
    ) -> None:
        estimated, measured = footprint(both[0]).storage_bytes, both[1].stat().st_size
        assert 0.99 <= estimated / measured <= 1.05
