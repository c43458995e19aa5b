import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset
from frugalseg.models.network import Network
from frugalseg.training.validation import network_scores, score_split, torch_predictor


class ByColour(Network):
    """Tells the tiny set's classes by their colour, at half size; no weights."""

    num_classes, channels = 3, 3

    def native(self, image_NCHW: Tensor) -> Tensor:
        half = image_NCHW[..., ::2, ::2]
        dark = 1 - half.amax(1, keepdim=True)
        return torch.cat([dark, half[:, :1], half[:, 2:]], dim=1)


def test_a_predictor_answers_at_the_size_of_the_picture(dataset: Dataset) -> None:
    predict = torch_predictor(ByColour(), InputSpec(height=32, width=32))
    image_HWC, _ = dataset.load(dataset.splits["val"][0])
    found = predict(image_HWC)
    assert found.shape == image_HWC.shape[:2]
    assert found.dtype == np.uint8


def test_a_good_network_scores_well_and_a_blind_one_badly(dataset: Dataset) -> None:
    def blind(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.zeros(image_HWC.shape[:2], np.uint8)

    samples = dataset.splits["val"]
    good = score_split(
        dataset, samples, torch_predictor(ByColour(), InputSpec(height=64, width=96))
    )
    bad = score_split(dataset, samples, blind, boundary=False)
    assert good.miou > 0.8
    assert bad.miou < 0.4
    assert (good.boundary_f1 is None, bad.boundary_f1 is None) == (False, True)


def test_pixels_go_in_normalised_and_scores_come_out_channels_last() -> None:
    image_HWC = np.full((16, 20, 3), 192, np.uint8)
    scores_hwC = network_scores(ByColour(), InputSpec(height=16, width=20), image_HWC)
    assert scores_hwC.shape == (8, 10, 3)
    assert (scores_hwC == np.array([0, 1, 1])).all()


def test_progress_counts_pictures(dataset: Dataset) -> None:
    told: list[tuple[float, float]] = []
    samples = dataset.splits["train"]
    score_split(
        dataset, samples, torch_predictor(ByColour(), InputSpec(height=32, width=32)),
        boundary=False, progress=lambda _stage, done, total, note="": told.append((done, total)),
    )  # fmt: skip
    assert told == [(i, len(samples)) for i in range(1, len(samples) + 1)]
