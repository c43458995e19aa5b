"""Ranks by a beam search over the accuracy of the truncated network, after BSR.

BSR is Eo, Kang, Rhee 2023 (arXiv 2111.15179); no code of its authors is known to us, and this is
our reading. As there: from full ranks on, each level lowers the rank of one layer by a step, in all
ways, scores what that leaves by the accuracy of the truncated weights, without training, and keeps
the best; it ends once they are small enough. Ours, so that it can be afforded:

* A step saves a share of all that has to go, not a number of ranks: in one layer, or in several
  where each alone saves less. The networks of a level cost alike, so that their scores can be
  compared, and there are as many levels for a network of many small layers.
* Of each network that was kept only those children are scored that lose least of the squared norm
  of their layers' weights for what they save.
* Ranks that save nothing are skipped: the first step goes below the largest that does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from frugalseg.core.progress import Progress, silent
from frugalseg.models.factors import Rank
from frugalseg.models.network import Network

NEARLY = 1 - 1e-6  # of a step: sums of floats are not exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """How far the search looks: networks that are kept of a level, children of each, levels.

    `score` says how accurate a network is; it is asked at most `kept * children` times a level, and
    there are some `steps` levels, whatever the depth of the network.
    """

    score: Callable[[Network], float]
    kept: int = 3
    children: int = 8
    steps: int = 16
    progress: Progress = silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A rank of a layer: what it saves, and the share of the squared norm that it loses."""

    rank: Rank
    saves: float
    loses: float


Ladders = Mapping[str, Sequence[Rung]]  # by layer, from the largest rank down
Ranks = dict[str, Rank]
Places = dict[str, int]  # by layer, how many steps down it is


def search(
    ladders: Ladders,
    step: float,
    score: Callable[[Ranks], float],
    done: Callable[[Ranks], bool],
    beam: Beam,
) -> tuple[Ranks, float] | None:
    """Go down the ladders until `done`, a level saving a `step`; return the best ranks and score.

    None where the last rungs are reached before.
    """
    kept: list[Places] = [{}]
    level = 0
    while True:
        children = {
            frozenset(child.items()): child
            for places in kept
            for child in _children(places, ladders, step, beam.children)
        }
        if not children:
            return None
        level += 1
        found: list[tuple[float, Ranks, Places]] = []
        for number, child in enumerate(children.values()):
            ranks = {name: ladders[name][place - 1].rank for name, place in child.items()}
            found.append((score(ranks), ranks, child))
            share = min(1.0, (level - 1 + number / len(children)) / beam.steps)
            best = max(one[0] for one in found)
            beam.progress("ranks", share, 1.0, f"level {level}, best of it {best:.1%}")
        found = sorted(found, key=lambda one: -one[0])[: beam.kept]
        for accuracy, ranks, _ in found:
            if done(ranks):
                return ranks, accuracy
        kept = [places for _, _, places in found]


def _children(places: Places, ladders: Ladders, step: float, most: int) -> Iterator[Places]:
    """Yield what one more step leaves, in those layers where it should harm least.

    The next rungs of all layers are taken in the order of their prices. One that saves a step is a
    child; of the others the first that save a step together are one, those that follow the next.
    What is left then, and saves less, counts only if there is nothing else.
    """
    rungs: list[tuple[float, str, float]] = []
    for name, ladder in ladders.items():
        place = places.get(name, 0)
        if place < len(ladder):
            above = ladder[place - 1] if place else Rung(rank=(), saves=0.0, loses=0.0)
            below = ladder[place]
            saves = below.saves - above.saves
            rungs.append(((below.loses - above.loses) / saves, name, saves))
    children: list[Places] = []
    several, saved = Places(), 0.0
    for _, name, saves in sorted(rungs):
        lower = {name: places.get(name, 0) + 1}
        if saves >= step * NEARLY:
            children.append(places | lower)
            continue
        several, saved = several | lower, saved + saves
        if saved >= step * NEARLY:
            children.append(places | several)
            several, saved = {}, 0.0
    if several and not children:
        children.append(places | several)
    yield from children[:most]
