"""The critic of holistic distillation: it tells a teacher's scores from a student's.

SKD (Liu et al. 2019, arXiv 1903.04197, section 3.2): a network sees a picture and the scores for it
as a whole, and is trained as the critic of a Wasserstein GAN with a penalty on its gradient
(Gulrajani et al. 2017, arXiv 1704.00028); the student is trained to pass for the teacher. As there,
its convolutions are normalised spectrally, and two of them are followed by self-attention (Zhang et
al. 2018, arXiv 1805.08318). We depart in that picture and scores are brought to `SIDE` pixels a
side, so that the critic does not depend on the size of the crop.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SIDE = 64
CHANNELS = (64, 128, 256, 512)
ATTENTIVE = 2  # of the stages, the last so many
SLOPE = 0.1
PENALTY = 10.0
LR, BETAS = 4e-4, (0.0, 0.9)  # the discriminator's, of self-attention GANs


class Attention(nn.Module):
    """Self-attention over positions, its share learnt from zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 8
        self.query, self.key = (spectral_norm(nn.Conv2d(channels, inner, 1)) for _ in range(2))
        self.value = spectral_norm(nn.Conv2d(channels, channels, 1))
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x_NChw: Tensor) -> Tensor:
        """Return maps of the same shape."""
        query, key, value = (part(x_NChw).flatten(2) for part in (self.query, self.key, self.value))
        seen_NPP = (query.transpose(1, 2) @ key).softmax(dim=2)
        mixed_NCP = value @ seen_NPP.transpose(1, 2)
        together: Tensor = x_NChw + self.share * mixed_NCP.view_as(x_NChw)
        return together


class Critic(nn.Module):
    """How much scores look like a teacher's: a number for each picture, without bounds."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for number, wide in enumerate(CHANNELS):
            stages += [spectral_norm(nn.Conv2d(channels, wide, 4, 2, 1)), nn.LeakyReLU(SLOPE)]
            if number >= len(CHANNELS) - ATTENTIVE:
                stages.append(Attention(wide))
            channels = wide
        self.stages = nn.Sequential(*stages, nn.Conv2d(channels, 1, SIDE >> len(CHANNELS)))

    def forward(self, seen_NCSS: Tensor) -> Tensor:
        """Return (N,)."""
        judged: Tensor = self.stages(seen_NCSS).flatten()
        return judged


class Adversary:
    """A critic in training beside the student."""

    def __init__(self, classes: int, channels: int) -> None:
        self.critic = Critic(classes + channels)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=LR, betas=BETAS)

    def loss(self, image_NCHW: Tensor, student_NChw: Tensor) -> Tensor:
        """Return how well the critic sees through the student: what the student minimises."""
        judged_N: Tensor = self.critic(seen(image_NCHW, student_NChw))
        return -judged_N.mean()

    def learn(self, image_NCHW: Tensor, student_NChw: Tensor, teacher_NChw: Tensor) -> None:
        """Take a step of the critic: teachers up, students down."""
        false, true = (seen(image_NCHW, scores.detach()) for scores in (student_NChw, teacher_NChw))
        loss = self.critic(false).mean() - self.critic(true).mean() + self._penalty(false, true)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def _penalty(self, false: Tensor, true: Tensor) -> Tensor:
        """Return how far the slope between a teacher's and a student's scores is from 1."""
        share = torch.rand(len(true), 1, 1, 1, device=true.device)
        between = (share * true + (1 - share) * false).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        off_N: Tensor = torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1
        return PENALTY * off_N.square().mean()


def seen(image_NCHW: Tensor, scores_NChw: Tensor) -> Tensor:
    """Return what the critic sees: picture and likelihood of each class, (N, C, SIDE, SIDE)."""
    likely_NChw = scores_NChw.float().softmax(dim=1)
    small = [F.adaptive_avg_pool2d(x, SIDE) for x in (image_NCHW.float(), likely_NChw)]
    return torch.cat(small, dim=1)
