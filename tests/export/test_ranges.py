from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from frugalseg.core.inputs import InputSpec
from frugalseg.export.litert import convert
from frugalseg.export.ranges import BINS, CLIPS, Histogram, clip, histograms
from frugalseg.models.network import Network


def histogram(values: np.ndarray) -> Histogram:
    counts, edges = np.histogram(values, BINS)
    return Histogram(counts.astype(float), edges)


def error(values: np.ndarray, low: float, high: float) -> float:
    step = (high - low) / 255
    rounded = np.round(np.clip(values, low, high) / step) * step
    return float(((values - rounded) ** 2).mean())


@pytest.mark.parametrize("method", sorted(CLIPS))
def test_a_uniform_map_keeps_its_range_and_an_outlier_is_cut_off(method: str) -> None:
    noise = np.random.default_rng(0)
    flat = noise.uniform(0, 1, 100_000)
    low, high = CLIPS[method](histogram(flat))
    assert low == 0
    assert 0.97 < high <= 1
    # Long tails: the outermost of a hundred thousand values lies far out.
    normal = noise.standard_t(4, 100_000)
    low, high = CLIPS[method](histogram(normal))
    assert low < 0 < high
    assert high - low < 0.9 * (normal.max() - normal.min())


def test_mse_finds_the_range_with_the_least_error() -> None:
    values = np.random.default_rng(1).laplace(size=200_000)
    low, high = CLIPS["mse"](histogram(values))
    found = error(values, low, high)
    for share in (0.3, 0.5, 0.7, 0.9, 1.0):
        assert found <= 1.05 * error(values, share * values.min(), share * values.max())
    assert found < 0.9 * error(values, values.min(), values.max())


class Small(Network):
    """Two convolutions, and scores."""

    channels = num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 3, 1)

    def native(self, image_NCHW: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.last(torch.nn.functional.hardswish(self.first(image_NCHW)))
        return out


def test_maps_of_a_file_get_ranges_of_their_own_and_scores_are_not_cut(tmp_path: Path) -> None:
    spec, path = InputSpec(height=32, width=48), tmp_path / "float.tflite"
    convert(Small().eval(), spec, path)
    noise = np.random.default_rng(0)
    feeds = [noise.standard_t(3, (1, 32, 48, 3)).astype(np.float32) for _ in range(2)]
    seen = histograms(path, feeds)
    assert len(seen) == 3
    assert seen.keys() == {name for name in seen if seen[name].counts.sum() > 1000}
    name = Interpreter(str(path)).get_output_details()[0]["name"]
    ranges = {n: {"min": np.array([9.0]), "max": np.array([9.0])} for n in (*seen, "elsewhere")}
    clip(ranges, path, feeds, "entropy")
    assert ranges["elsewhere"]["max"] == 9
    assert ranges[name]["max"] == pytest.approx(seen[name].ends[1])
    inner = seen.keys() - {name}
    for n in inner:
        found = float(ranges[n]["min"][0]), float(ranges[n]["max"][0])
        assert found == pytest.approx(CLIPS["entropy"](seen[n]))
    assert any(ranges[n]["max"] < 0.9 * seen[n].ends[1] for n in inner)
