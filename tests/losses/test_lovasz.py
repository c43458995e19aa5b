import itertools

import pytest
import torch

from frugalseg.losses.lovasz import lovasz

IGNORE = 255


def jaccard_loss(truth: list[int], wrong: set[int]) -> float:
    """1 - IoU of a class if just the pixels `wrong` are wrong: the paper's equation 6."""
    wanted = {i for i, is_there in enumerate(truth) if is_there}
    return len(wrong) / len(wanted | wrong)


def slowly(errors: list[float], truth: list[int]) -> float:
    """The Lovász extension as it is defined, with sets."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    total, wrong = 0.0, set[int]()
    for i in order:
        before = jaccard_loss(truth, wrong)
        wrong = wrong | {i}
        total += errors[i] * (jaccard_loss(truth, wrong) - before)
    return total


def test_it_is_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 3, 4, generator=generator)
    labels = torch.randint(3, (2, 3, 4), generator=generator)
    labels[0, 1] = IGNORE
    known = labels != IGNORE
    p_CP = logits.softmax(1).transpose(0, 1)[:, known]
    losses = []
    for label in range(3):
        truth = (labels[known] == label).int().tolist()
        errors = [abs(t - float(p)) for t, p in zip(truth, p_CP[label], strict=True)]
        losses.append(slowly(errors, truth))
    found = lovasz(logits, labels, ignore=IGNORE)
    assert float(found) == pytest.approx(sum(losses) / 3, rel=1e-5)


@pytest.mark.parametrize("predicted", list(itertools.product([0, 1], repeat=4)))
def test_of_sure_predictions_it_is_one_minus_the_mean_iou(predicted: tuple[int, ...]) -> None:
    labels = torch.tensor([[[0, 1, 1, 0]]])
    seen = torch.tensor(predicted).reshape(1, 1, 4)
    logits = torch.nn.functional.one_hot(seen, 2).permute(0, 3, 1, 2) * 100.0
    ious = [
        float(((seen == c) & (labels == c)).sum() / ((seen == c) | (labels == c)).sum())
        for c in (0, 1)
    ]
    found = lovasz(logits, labels, ignore=IGNORE)
    assert float(found) == pytest.approx(1 - sum(ious) / 2, abs=1e-5)


def test_classes_that_are_absent_are_left_out() -> None:
    labels = torch.tensor([[[0, 0]]])
    logits = torch.tensor([[[[2.0, 1.0]], [[0.0, 0.5]]]])
    truth_errors = (1 - logits.softmax(1)[0, 0, 0]).tolist()
    found = lovasz(logits, labels, ignore=IGNORE)
    assert float(found) == pytest.approx(slowly(truth_errors, [1, 1]), rel=1e-5)
