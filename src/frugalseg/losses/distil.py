"""Losses of a student that is to score, or to see, as its teacher does. No labels are needed.

Shape letters as in `models.network`; student and teacher have maps of the same size.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

PATCH = 0.5  # side of a patch of `pair_wise`, of that of the map


def pixel_wise(student_NChw: Tensor, teacher_NChw: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return T^2 KL(teacher || student) of the softmax over classes at T, mean over all pixels.

    With T = 1 the pixel-wise term of SKD (Liu et al. 2019, arXiv 1903.04197, equation 1), with
    another T that of Hinton, Vinyals, Dean 2015 (arXiv 1503.02531, section 2). The authors' code of
    SKD divides by the number of classes too, and so has weight 10 where the paper has 1.

    >>> float(pixel_wise(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)))
    0.0
    """
    pixels = student_NChw.shape[0] * student_NChw[0, 0].numel()
    return temperature**2 * _divergence(student_NChw, teacher_NChw, temperature, dim=1) / pixels


def channel_wise(student_NChw: Tensor, teacher_NChw: Tensor, *, temperature: float = 4.0) -> Tensor:
    """Return T^2 KL(teacher || student) of the softmax over positions, mean over all channels.

    CWD (Shu et al. 2021, arXiv 2011.13256, equations 5 and 6), on scores.
    """
    channels = student_NChw.shape[0] * student_NChw.shape[1]
    pair = student_NChw.flatten(2), teacher_NChw.flatten(2)
    return temperature**2 * _divergence(*pair, temperature, dim=2) / channels


def pair_wise(student_NKhw: Tensor, teacher_NChw: Tensor) -> Tensor:
    """Return how far the likeness of each two patches differs, squared, mean over all pairs.

    The pair-wise term of SKD (section 3.1, equation 2), as its authors' code has it: features are
    max-pooled over patches of half a side, and likeness is the cosine of two of them. The number
    of channels may differ.
    """
    student, teacher = _likeness(student_NKhw), _likeness(teacher_NChw)
    return (student - teacher).square().mean()


def _divergence(student: Tensor, teacher: Tensor, temperature: float, dim: int) -> Tensor:
    """Return the sum of KL(teacher || student) over softmaxes along `dim`."""
    wanted, found = (
        (scores.float() / temperature).log_softmax(dim) for scores in (teacher, student)
    )
    return F.kl_div(found, wanted, reduction="sum", log_target=True)


def _likeness(features_NChw: Tensor) -> Tensor:
    """Return the cosine of each two patches, (N, patches, patches)."""
    patch = [max(1, int(PATCH * side)) for side in features_NChw.shape[-2:]]
    pooled_NCP = F.max_pool2d(features_NChw.float(), patch, patch, ceil_mode=True).flatten(2)
    norms_N1P = torch.linalg.vector_norm(pooled_NCP.detach(), dim=1, keepdim=True)
    directions_NCP = pooled_NCP / norms_N1P.clamp(min=torch.finfo(torch.float32).eps)
    likeness_NPP: Tensor = directions_NCP.transpose(1, 2) @ directions_NCP
    return likeness_NPP
