"""What colour buys: how much a trained network makes use of it, and what it costs."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.budget import Footprint
from frugalseg.core.progress import Progress, silent
from frugalseg.cost.device import Device
from frugalseg.cost.footprint import divided_footprint, footprint
from frugalseg.cost.memory import as_run
from frugalseg.data.dataset import Dataset
from frugalseg.imaging.resize import as_channels
from frugalseg.report.contents import Colour
from frugalseg.search.graphs import graph_of
from frugalseg.search.ladder import Choice
from frugalseg.training.checkpoint import Checkpoint
from frugalseg.training.validation import score_split, torch_predictor

GREY, RGB = 1, 3


def colour_of(
    dataset: Dataset,
    checkpoint: Checkpoint,
    choice: Choice,
    device: Device,
    progress: Progress = silent,
) -> Colour | None:
    """Score the network on the validation split in grey; None for one that takes grey anyway."""
    if checkpoint.input.channels == GREY:
        return None
    predict = torch_predictor(checkpoint.network(), checkpoint.input)
    grey = score_split(
        dataset,
        dataset.split("val"),
        lambda image_HWC: predict(without_colour(image_HWC)),
        boundary=False,
        progress=progress,
    )
    return Colour(grey=grey, footprint=_grey_footprint(choice, device))


def without_colour(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an RGB picture in shades of grey, (H, W, 3).

    >>> without_colour(np.array([[[0, 100, 0]]], np.uint8)).tolist()
    [[[59, 59, 59]]]
    """
    return np.repeat(as_channels(image_HWC, GREY), RGB, axis=2)


def _grey_footprint(choice: Choice, device: Device) -> Footprint | None:
    """Weigh the same network with a grey input; None where the device takes none."""
    settings = {**choice.architecture.settings, "channels": GREY}
    spec = replace(choice.input, channels=GREY)
    graph = graph_of(replace(choice.architecture, settings=settings), spec)
    if device.refusals(as_run(graph, device), spec):
        return None
    divided = divided_footprint(graph, device) if choice.in_bands else None
    return divided or footprint(graph, device)
