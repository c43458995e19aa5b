import torch

from frugalseg.losses.cross_entropy import cross_entropy, pixel_weights

IGNORE = 255


def test_it_is_the_weighted_mean_over_labelled_pixels() -> None:
    torch.manual_seed(0)
    logits_NCHW, labels_NHW = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    labels_NHW[0, :2] = IGNORE
    weights_C = torch.tensor([0.5, 1.0, 4.0])
    total, weight = 0.0, 0.0
    for n in range(2):
        for y in range(4):
            for x in range(5):
                label = int(labels_NHW[n, y, x])
                if label == IGNORE:
                    continue
                scores = logits_NCHW[n, :, y, x].double()
                probability = float((scores.exp() / scores.exp().sum())[label])
                total -= float(weights_C[label]) * torch.tensor(probability).double().log().item()
                weight += float(weights_C[label])
    found = cross_entropy(logits_NCHW, labels_NHW, ignore=IGNORE, weights_C=weights_C)
    torch.testing.assert_close(found.item(), total / weight, atol=1e-6, rtol=1e-5)


def test_a_pixel_counts_the_same_whatever_share_of_the_batch_is_ignored() -> None:
    logits_NCHW = torch.zeros(1, 4, 3, 3)
    labels_NHW = torch.full((1, 3, 3), IGNORE)
    labels_NHW[0, 1, 1] = 2
    found = cross_entropy(logits_NCHW, labels_NHW, ignore=IGNORE)
    torch.testing.assert_close(found, torch.tensor(4.0).log())


def test_the_weight_of_a_pixel_is_that_of_its_class() -> None:
    labels_NHW = torch.tensor([[[0, 2, IGNORE]]])
    weights_C = torch.tensor([3.0, 5.0, 7.0])
    assert pixel_weights(labels_NHW, ignore=IGNORE, weights_C=weights_C).tolist() == [[[3, 7, 0]]]
    assert pixel_weights(labels_NHW, ignore=IGNORE, weights_C=None).tolist() == [[[1, 1, 0]]]
