"""Losses of a head that says where one class ends and another begins.

After PIDNet (Xu, Xiong, Bhattacharyya 2022, arXiv 2206.02066, section 3.4). Its edges come from a
Canny filter over the label map, dilated; ours are all pixels near which a class changes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 2  # pixels on each side of a change
SURE = 0.8  # probability from which a pixel counts as near an edge


def edges(labels_NHW: Tensor, *, ignore: int, reach: int = REACH) -> Tensor:
    """Return 1 where two classes lie within `reach` pixels, else 0; (N, 1, H, W), float.

    Ignored pixels are of no class, so that no edge runs along them.

    >>> row = torch.tensor([[[0, 0, 0, 1, 1, 255, 2]]])
    >>> edges(row, ignore=255, reach=1).flatten().tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    """
    ids = labels_NHW[:, None].float()
    ignored = labels_NHW[:, None] == ignore
    window, stride = 2 * reach + 1, 1
    far = ids.new_tensor(float("inf"))
    most = F.max_pool2d(torch.where(ignored, -far, ids), window, stride, reach)
    least = -F.max_pool2d(torch.where(ignored, -far, -ids), window, stride, reach)
    return (most > least).float()


def boundary(logits_N1HW: Tensor, labels_NHW: Tensor, *, ignore: int, reach: int = REACH) -> Tensor:
    """Return binary cross-entropy with edges and the rest weighted to count alike.

    Zero where all pixels are ignored.
    """
    wanted_N1HW = edges(labels_NHW, ignore=ignore, reach=reach)
    counted_N1HW = (labels_NHW != ignore)[:, None].float()
    pixels = counted_N1HW.sum().clamp(min=1)
    share = (wanted_N1HW * counted_N1HW).sum() / pixels
    weights_N1HW = torch.where(wanted_N1HW > 0, 1 - share, share) * counted_N1HW
    losses = F.binary_cross_entropy_with_logits(logits_N1HW, wanted_N1HW, reduction="none")
    return (losses * weights_N1HW).sum() / pixels


def near_boundary(edges_N1HW: Tensor, labels_NHW: Tensor, *, ignore: int) -> Tensor:
    """Return the labels with all ignored but what the boundary head takes for an edge."""
    sure_NHW = edges_N1HW.detach().sigmoid()[:, 0] > SURE
    return torch.where(sure_NHW, labels_NHW, torch.full_like(labels_NHW, ignore))
