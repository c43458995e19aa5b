"""Which layers of a checkpoint have weights of 4 bits: planned, or read from a plan."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frugalseg.compress.mixed import (
    BitsPlan,
    apply_bits,
    check_bytes,
    plan_bits,
    sensitivity,
    weights_of,
)
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.data.dataset import Dataset
from frugalseg.imaging.resize import as_channels, resize_image
from frugalseg.training.batches import normalise
from frugalseg.training.checkpoint import Checkpoint
from frugalseg.workflows.plans import read_values

LOOKED_AT = 8  # pictures for validation on which layers are measured


def planned_bits(
    kept: Checkpoint, dataset: Dataset, most_bytes: int | None, progress: Progress = silent
) -> BitsPlan:
    """Measure each layer on a few pictures for validation, and plan bits for a file's bytes.

    Raises OverBudgetError, before that, where no plan has so few.
    """
    network, name = kept.network(), kept.architecture.name
    check_bytes(network, name, kept.input, most_bytes)
    loss = sensitivity_of(kept, dataset, progress)
    return plan_bits(network, name, kept.input, loss, most_bytes)


def sensitivity_of(
    kept: Checkpoint, dataset: Dataset, progress: Progress = silent
) -> dict[str, float]:
    """Measure what 4 bits in each layer do to the scores of a few pictures for validation."""
    network, images_NCHW = kept.network(), pictures_of(dataset, kept.input, LOOKED_AT)
    measure, loss = sensitivity(network, kept.input, images_NCHW), dict[str, float]()
    layers = weights_of(network, kept.input)
    for number, layer in enumerate(layers):
        progress("measuring layers", number, len(layers))
        loss[layer] = measure(layer)
    return loss


def pictures_of(dataset: Dataset, spec: InputSpec, most: int) -> Tensor:
    """Load a few pictures for validation, spread over all, normalised: (N, C, H, W)."""
    val = dataset.split("val")
    images = (dataset.load(sample)[0] for sample in val[:: -(-len(val) // most)])
    pixels = [as_channels(resize_image(image, spec.size), spec.channels) for image in images]
    return normalise(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), spec)


def read_bits(kept: Checkpoint, wish: str | Path | Mapping[str, int]) -> dict[str, int]:
    """Return the bits by layer: those given, or of a file with a plan, such as a manifest.

    Raises ConfigError for a file that is no plan, and for a plan of another network.
    """
    if isinstance(wish, Mapping):
        return dict(wish)
    values = read_values(Path(wish))
    if isinstance(values, dict) and isinstance(values.get("settings"), dict):
        values = values["settings"].get("bits_plan")
    plan = BitsPlan.from_dict(values)
    return apply_bits(kept.network(), kept.architecture.name, kept.input, plan)
