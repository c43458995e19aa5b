"""How far the 8 bits of a map reach, from a histogram of what calibration pictures make of it.

minmax      the least and the largest value of each picture, averaged (AI Edge Quantizer)
percentile  without the outermost values, one of ten thousand on both sides together
mse         with the least squared error of clipping and rounding (as in Banner et al. 2019, arXiv
            1810.05723, but searched on the histogram instead of derived from a distribution)
entropy     with the least Kullback-Leibler divergence of the histogram before and after (as in
            TensorRT: Migacz 2017, GTC)

The last two search one share for both ends, of the least and the largest value of all pictures,
since maps here have a sign of their own, or none; TensorRT's is symmetric. Values that are zero, as
half of those after a ReLU are, are exact in any range and left out. What the network gives keeps
the least and the largest of all pictures: scores that are cut off alike would tie.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.errors import require

MINMAX = "minmax"
BINS = 2048
LEVELS = 255  # steps of 8 bits
KEPT = 0.9999  # of the values, by `percentile`
SHARES = np.linspace(0.2, 1, 65)  # of the whole range, that are tried
LEAST_VALUES = 100  # from so few nothing is chosen

Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values that are not zero lie where, between two ends; `edges` are BINS + 1."""

    counts: Counts
    edges: Counts

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest value, and zero."""
        return min(0.0, float(self.edges[0])), max(0.0, float(self.edges[-1]))

    @property
    def centres(self) -> Counts:
        """The middles of the bins."""
        middles: Counts = (self.edges[1:] + self.edges[:-1]) / 2
        return middles


def percentile(seen: Histogram) -> tuple[float, float]:
    """Leave out the outermost values.

    >>> edges = np.linspace(0, 2048, 2049)
    >>> percentile(Histogram(np.where(np.arange(2048) < 1024, 1e6, 1.0), edges))
    (0.0, 1024.0)
    """
    share = seen.counts.cumsum() / seen.counts.sum()
    first = int(np.searchsorted(share, (1 - KEPT) / 2, side="right"))
    last = int(np.searchsorted(share, (1 + KEPT) / 2))
    return min(0.0, float(seen.edges[first])), max(0.0, float(seen.edges[last + 1]))


def mse(seen: Histogram) -> tuple[float, float]:
    """Search the least squared error."""
    centres = seen.centres

    def error(low: float, high: float) -> float:
        step = (high - low) / LEVELS
        beyond = np.maximum(centres - high, 0) + np.maximum(low - centres, 0)
        errors = np.where(beyond > 0, beyond**2, step**2 / 12)
        return float((seen.counts * errors).sum())

    return _least(seen, error)


def entropy(seen: Histogram) -> tuple[float, float]:
    """Search the least divergence."""
    centres = seen.centres

    def divergence(low: float, high: float) -> float:
        inside = (centres >= low) & (centres <= high)
        real = seen.counts[inside].copy()
        if not real.sum():
            return np.inf
        level = ((centres[inside] - low) / (high - low) * LEVELS).astype(int)
        filled = real > 0
        members = np.bincount(level, filled, LEVELS + 1)
        mean = np.bincount(level, real, LEVELS + 1) / np.maximum(members, 1)
        told = np.where(filled, mean[level], 0)
        real[0] += seen.counts[centres < low].sum()  # what is cut off comes to lie on the ends
        real[-1] += seen.counts[centres > high].sum()
        p, q = real / real.sum(), told / told.sum()
        both = (p > 0) & (q > 0)
        lost = float(p[(p > 0) & (q == 0)].sum())  # an end that nothing stood for
        return float((p[both] * np.log(p[both] / q[both])).sum()) + lost

    return _least(seen, divergence)


CLIPS: Mapping[str, Callable[[Histogram], tuple[float, float]]] = MappingProxyType(
    {"percentile": percentile, "entropy": entropy, "mse": mse}
)


def _least(seen: Histogram, cost: Callable[[float, float], float]) -> tuple[float, float]:
    low, high = seen.ends
    return min(
        ((share * low, share * high) for share in SHARES[::-1]), key=lambda ends: cost(*ends)
    )


def histograms(path: Path, feeds: Sequence[Any]) -> dict[str, Histogram]:
    """Run a float .tflite file on each feed and count the values of its maps, by their name."""
    with warnings.catch_warnings():  # that it takes memory
        warnings.simplefilter("ignore")
        interpreter = require("ai_edge_litert.interpreter", extra=None).Interpreter(
            model_path=str(path), experimental_preserve_all_tensors=True, num_threads=1
        )
    interpreter.allocate_tensors()
    ends = dict[str, tuple[float, float]]()
    for name, values in _maps(interpreter, feeds):
        low, high = ends.get(name, (np.inf, -np.inf))
        ends[name] = min(low, float(values.min())), max(high, float(values.max()))
    counts = dict[str, Counts]()
    for name, values in _maps(interpreter, feeds):
        found = np.histogram(values[values != 0], BINS, ends[name])[0]
        counts[name] = counts.get(name, np.zeros(BINS)) + found
    return {
        name: Histogram(counts[name], np.linspace(*ends[name], BINS + 1))
        for name in counts
        if counts[name].sum() >= LEAST_VALUES and ends[name][0] < ends[name][1]
    }


def _maps(interpreter: Any, feeds: Sequence[Any]) -> Any:
    """Yield each map of each feed that is of float, with its name."""
    source = interpreter.get_input_details()[0]["index"]
    written = {int(i) for op in interpreter._get_ops_details() for i in op["outputs"]}
    details = [
        d for d in interpreter.get_tensor_details()
        if d["index"] in written and d["dtype"] == np.float32
    ]  # fmt: skip
    for feed in feeds:
        interpreter.set_tensor(source, feed)
        interpreter.invoke()
        for told in details:
            yield told["name"], interpreter.get_tensor(told["index"])


def clip(ranges: dict[str, Any], path: Path, feeds: Sequence[Any], method: str) -> None:
    """Choose the ranges of all maps of a float .tflite file anew. Changes `ranges`."""
    interpreter = require("ai_edge_litert.interpreter", extra=None).Interpreter(str(path))
    given = {told["name"] for told in interpreter.get_output_details()}
    for name, seen in histograms(path, feeds).items():
        if name not in ranges:
            continue
        low, high = seen.ends if name in given else CLIPS[method](seen)
        for bound, value in (("min", low), ("max", high)):
            ranges[name][bound] = np.full_like(ranges[name][bound], value)
