"""Scores of anything that labels a picture, over a whole split, at the labels' own size."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress, silent
from frugalseg.data.dataset import Dataset, Sample
from frugalseg.imaging.resize import as_channels, labels_at, resize_image
from frugalseg.metrics.scores import ScoreKeeper, Scores
from frugalseg.models.network import Network
from frugalseg.training.batches import normalise

TOGETHER = 4  # pictures that go through a network at once

Predict = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def score_split(
    dataset: Dataset,
    samples: Sequence[Sample],
    predict: Predict,
    *,
    boundary: bool = True,
    progress: Progress = silent,
) -> Scores:
    """Label each picture with `predict` (HxWx3 uint8 to HxW train ids) and score them together.

    `boundary=False` leaves out boundary F1, which takes longer than all else.
    """
    keeper = ScoreKeeper(dataset.labels.num_classes, boundary=boundary)
    for number, sample in enumerate(samples, start=1):
        image_HWC, labels_HW = dataset.load(sample)
        keeper.add(labels_HW, predict(image_HWC))
        progress("scoring", number, len(samples))
    return keeper.scores()


def torch_predictor(
    network: nn.Module, spec: InputSpec, device: torch.device | str = "cpu"
) -> Predict:
    """Return a function that labels one picture with a network, at the picture's size."""

    def predict(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        scores_hwC = network_scores(network, spec, image_HWC, device)
        return labels_at(scores_hwC, image_HWC.shape[:2])

    return predict


@torch.no_grad()
def network_scores(
    network: nn.Module,
    spec: InputSpec,
    image_HWC: NDArray[np.uint8],
    device: torch.device | str = "cpu",
) -> NDArray[np.float32]:
    """Return a network's scores for one picture at its native size, (h, w, C)."""
    assert isinstance(network, Network)
    pixels = as_channels(resize_image(image_HWC, spec.size), spec.channels)
    image_NCHW = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device)
    logits_NChw = network.native(normalise(image_NCHW, spec))
    scores: NDArray[np.float32] = logits_NChw[0].permute(1, 2, 0).float().cpu().numpy()
    return scores


def quick_score(
    dataset: Dataset, samples: Sequence[Sample], spec: InputSpec
) -> Callable[[Network], float]:
    """Return a function that gives the mIoU of networks on a few pictures, at their native size.

    For choices between many networks: the pictures are read once, and of the labels the pixel
    nearest to the middle of each score is taken, so that nothing is resized.
    """
    images, labels = [], []
    for sample in samples:
        image_HWC, labels_HW = dataset.load(sample)
        images.append(
            torch.from_numpy(as_channels(resize_image(image_HWC, spec.size), spec.channels))
        )
        labels.append(labels_HW)
    batches = torch.stack(images).permute(0, 3, 1, 2).split(TOGETHER)

    @torch.no_grad()
    def score(network: Network) -> float:
        keeper = ScoreKeeper(dataset.labels.num_classes, boundary=False)
        found = [network.native(normalise(batch, spec)).argmax(1).byte() for batch in batches]
        for labels_HW, ids_hw in zip(labels, torch.cat(found).numpy(), strict=True):
            keeper.add(_nearest(labels_HW, ids_hw.shape), ids_hw)
        return keeper.scores().miou

    return score


def _nearest(labels_HW: NDArray[np.uint8], size: Sequence[int]) -> NDArray[np.uint8]:
    rows, columns = (
        ((np.arange(few) + 0.5) * many / few).astype(int)
        for many, few in zip(labels_HW.shape, size, strict=True)
    )
    near: NDArray[np.uint8] = labels_HW[np.ix_(rows, columns)]
    return near
