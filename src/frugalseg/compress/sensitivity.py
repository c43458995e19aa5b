"""What single changes of a network cost: how far its scores move, and what they save.

Each change is measured alone, on a few fixed pictures: the mean Kullback-Leibler divergence of a
pixel's classes from those of the whole network. That losses of several changes add up is taken for
granted when they are planned together.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.models.network import Network

Divergence = Callable[[Network], float]


def divergence_from(network: Network, images_NCHW: Tensor) -> Divergence:
    """Return what says how far another network's scores are from this one's, 0 or more, in nats.

    Infinitely far are scores that are no numbers. Raises ConfigError where those of `network` are.
    """
    images = images_NCHW.split(1)
    whole = [_classes(network, image_1CHW) for image_1CHW in images]
    if not all(log_p.isfinite().all() for log_p in whole):
        raise ConfigError("the scores of the network are no numbers: is it sound?")

    def of(other: Network) -> float:
        found = (
            divergence(_classes(other, image), log_p)
            for image, log_p in zip(images, whole, strict=True)
        )
        return nats(torch.stack([*found]).mean())

    return of


def divergence(log_q_NChw: Tensor, log_p_NChw: Tensor) -> Tensor:
    """Return the mean over pixels of the divergence of classes q from p, given as logarithms."""
    per_class = F.kl_div(log_q_NChw, log_p_NChw, log_target=True, reduction="none")
    return per_class.sum(1).mean()


def nats(value: Tensor) -> float:
    """Return a divergence as 0 or more; infinite where it is no number."""
    number = float(value)
    return math.inf if math.isnan(number) else max(0.0, number)


@torch.no_grad()
def _classes(network: Network, image_NCHW: Tensor) -> Tensor:
    training = network.training
    scores = network.eval().native(image_NCHW).log_softmax(1)
    network.train(training)
    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One level of what can be done to one thing: `kind` and `name` say to which.

    `saves` is a share of what has to go, `loses` what it moves the scores by; both count from the
    whole network, not from the level before. `amount` is what its kind understands: channels,
    a rank, bits.
    """

    kind: str
    name: str
    amount: tuple[str | float, ...]
    saves: float
    loses: float


def in_order(changes: Iterable[Change]) -> list[Change]:
    """Sort changes so that each next one costs least for what it saves, among all that are finite.

    Of each thing only those levels are left at which a step costs more than the one before it (its
    lower convex hull): what was taken so far, with the last level of each thing, is then the least
    loss for its savings (Shoham, Gersho 1988, IEEE Trans. ASSP 36(9), for bits).

    >>> def at(name, saves, loses):
    ...     return Change(kind="bits", name=name, amount=(4,), saves=saves, loses=loses)
    >>> found = in_order([at("a", 1, 5), at("a", 2, 6), at("b", 1, 1), at("b", 2, 9)])
    >>> [(change.name, change.saves) for change in found]
    [('b', 1), ('a', 2), ('b', 2)]
    """
    steps: list[tuple[float, int, Change]] = []
    finite = (change for change in changes if math.isfinite(change.loses))
    by_thing = sorted(finite, key=lambda c: (c.kind, c.name, c.saves, c.loses))
    for number, (_, levels) in enumerate(groupby(by_thing, key=lambda c: (c.kind, c.name))):
        steps += [(price, number, change) for price, change in _hull([*levels])]
    return [change for _, _, change in sorted(steps, key=lambda step: step[:2])]


def _hull(levels: Sequence[Change]) -> Iterator[tuple[float, Change]]:
    """Yield the levels of a lower convex hull from nothing on, each with the price of its step."""
    saved, lost = 0.0, 0.0

    def price(level: Change) -> tuple[float, float]:
        return (level.loses - lost) / (level.saves - saved), -level.saves

    left = [*levels]
    while left := [level for level in left if level.saves > saved]:
        best = min(left, key=price)
        yield price(best)[0], best
        saved, lost = best.saves, best.loses


def levels(changes: Iterable[Change]) -> Mapping[tuple[str, str], Change]:
    """Return the last level of each thing, by its kind and name."""
    return {(change.kind, change.name): change for change in changes}
