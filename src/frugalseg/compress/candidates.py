"""All that could be changed in a network, each measured alone, and what several changes come to."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frugalseg.compress.decompose import Spectra, Truncated, decomposed
from frugalseg.compress.goal import Goal, least
from frugalseg.compress.groups import Groups, Kept, cut
from frugalseg.compress.importance import Importance, best_of
from frugalseg.compress.layers import Layer, layers_of
from frugalseg.compress.losses import Losses
from frugalseg.compress.mixed import FEW, saved_bytes, sensitivity, weights_in
from frugalseg.compress.prune import weighed
from frugalseg.compress.relief import Relief
from frugalseg.compress.sensitivity import Change, Divergence, levels
from frugalseg.core.inputs import InputSpec
from frugalseg.core.progress import Progress
from frugalseg.cost.graph import Graph
from frugalseg.models.factors import Rank, factorise, weight_of
from frugalseg.models.network import Network
from frugalseg.trace import record
from frugalseg.training.quantise import round_weight

CHANNELS, RANK, BITS = "channels", "rank", "bits"
SCHEMES = ("channel", "spatial")
SHARES = (0.25, 0.5, 0.75)  # of the channels of a group, or of the cost of a layer, that go
STEPS = 12  # of the search for how many changes are needed
NOT_SPARED = 12  # in a row, and no more are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What some changes, in their order, come to.

    `taken` has the last level of each thing. `graph` is the network with its channels and ranks;
    `prune` makes the one with the channels alone. `spared` are the bytes that weights of 4 bits
    save of its file.
    """

    changes: Sequence[Change]
    taken: Mapping[tuple[str, str], Change]
    kept: Kept
    prune: Callable[[], Network]
    ranks: Mapping[str, Rank]
    bits: Mapping[str, int]
    graph: Graph
    spared: int

    def network(self) -> Network:
        """Return the network with all these changes, weights of 4 bits rounded."""
        made = self.prune()
        for name, rank in self.ranks.items():
            made.set_submodule(name, decomposed(made.get_submodule(name), rank))
        for name in self.bits:
            weight = weight_of(made.get_submodule(name))
            weight.data = round_weight(weight.data, 0, FEW)
        return made


class Candidates:
    """A network with all that could be changed in it, and the goal."""

    def __init__(
        self, network: Network, spec: InputSpec, goal: Goal, importance: Importance
    ) -> None:
        self.network, self.spec, self.goal = network, spec, goal
        self.groups, self.whole = Groups.of(network, spec), record(network, spec)
        self.importance = {g: s for g, s in importance.items() if g in self.groups.channels}
        self.layers, self.stay = layers_of(network, self.whole, SCHEMES, goal)
        # The tool of an IMX500 quantises by itself.
        self.four_bits = goal.device is None or goal.device.runtime != "imx500"

    def changes(
        self, images_NCHW: Tensor, moved: Divergence, losses: Losses, progress: Progress
    ) -> Iterator[Change]:
        """Measure all changes, each alone, by how far they `moved` the scores of these pictures.

        What is in `losses` is not measured again.
        """
        relief = Relief(self.whole, self.goal)
        for number, group in enumerate(self.importance):
            progress("measuring channels", number, len(self.importance))
            yield from self._of_group(group, moved, relief, losses)
        spectra = Spectra({n: weight_of(self.network.get_submodule(n)) for n in self.layers})
        truncated = Truncated(self.network, spectra)
        for number, layer in enumerate(self.layers.values()):
            progress("measuring ranks", number, len(self.layers))
            for rank in _ranks(layer, spectra, self.goal.multiple):
                at = partial(truncated.at, {layer.name: rank})
                share = int(rank[1]) / layer.fulls[str(rank[0])][0]
                amount = (str(rank[0]), share)
                yield Change(
                    kind=RANK, name=layer.name, amount=amount,
                    saves=relief.of_layer(layer.saved(rank)),
                    loses=losses.of(RANK, layer.name, amount, partial(_loss, moved, at)),
                )  # fmt: skip
        if self.four_bits:
            yield from self._of_bits(images_NCHW, relief, losses, progress)

    def _of_bits(
        self, images_NCHW: Tensor, relief: Relief, losses: Losses, progress: Progress
    ) -> Iterator[Change]:
        weights = weights_in(self.whole)
        measure = sensitivity(self.network, self.spec, images_NCHW)
        for number, (name, count) in enumerate(weights.items()):
            progress("measuring layers", number, len(weights))
            yield Change(
                kind=BITS, name=name, amount=(FEW,), saves=relief.of_bytes(saved_bytes(count)),
                loses=losses.of(BITS, name, (FEW,), partial(measure, name)),
            )  # fmt: skip

    def _of_group(
        self, group: str, moved: Divergence, relief: Relief, losses: Losses
    ) -> Iterator[Change]:
        count = self.groups.channels[group]
        for share in SHARES:
            kept = {group: self._stay(group, ceil(count * (1 - share)))}
            left = len(kept[group])
            if left < count:
                graph = weighed(self.network, self.whole, self.groups, kept, self.spec)
                smaller = partial(cut, self.network, self.groups, kept)
                yield Change(
                    kind=CHANNELS, name=group, amount=(left,), saves=relief.of(graph),
                    loses=losses.of(CHANNELS, group, (left,), partial(_loss, moved, smaller)),
                )  # fmt: skip

    def _stay(self, group: str, wanted: int) -> NDArray[np.int64]:
        """Choose the channels that matter most, as many as the device stores together."""
        number = self.groups.rounded(group, max(1, wanted), self.goal.multiple)
        return best_of(self.importance[group], number)

    def stays(self) -> dict[str, int]:
        """Say why how many makers of channels and layers stay as they are."""
        unscored = sum(group not in self.importance for group in self.groups.channels)
        told = Counter(self.groups.fixed.values()) + Counter(self.stay)
        if unscored:
            told["this importance says nothing of it"] += unscored
        return dict(told)

    def least_of(self, order: Sequence[Change]) -> Made:
        """Take as few changes as will do, in their order; all where that is not enough."""

        def of_share(share: float) -> tuple[Sequence[Change], Made]:
            changes = order[: round(share * len(order))]
            return changes, self.made(changes)

        return least(of_share, lambda tried: self.meets(tried[1]), STEPS)[1]

    def without_spare(self, made: Made) -> Made:
        """Leave out changes, the dearest first, until several in a row cannot be spared.

        The last one that was taken may save more than was missing.
        """
        changes, in_a_row = made.changes, 0
        for change in reversed(changes):
            if made.taken.get((change.kind, change.name)) is not change:
                continue  # a further level of the same is taken
            fewer = [other for other in changes if other is not change]
            if self.meets(other_made := self.made(fewer)):
                changes, made, in_a_row = fewer, other_made, 0
            elif (in_a_row := in_a_row + 1) == NOT_SPARED:
                break
        return made

    def meets(self, made: Made) -> bool:
        """Say whether a network with changes keeps to the limits."""
        return bool(self.goal.check(made.graph, spared=made.spared))

    def made(self, changes: Sequence[Change]) -> Made:
        """Weigh the network with these changes."""
        taken = levels(changes)
        kept = {
            name: self._stay(name, int(change.amount[0]))
            for (kind, name), change in taken.items()
            if kind == CHANNELS
        }
        prune = partial(cut, self.network, self.groups, kept)
        wanted = {name: change for (kind, name), change in taken.items() if kind == RANK}
        if wanted:
            ranks, graph = self._factorised(prune(), wanted)
        else:
            ranks = {}
            graph = weighed(self.network, self.whole, self.groups, kept, self.spec)
        weights = weights_in(graph)
        bits = {n: FEW for n in weights if (BITS, whole_of(n, ranks)) in taken}
        return Made(
            changes=changes, taken=taken, kept=kept, prune=prune, ranks=ranks, bits=bits,
            graph=graph, spared=sum(saved_bytes(weights[name]) for name in bits),
        )  # fmt: skip

    def _factorised(
        self, pruned: Network, wanted: Mapping[str, Change]
    ) -> tuple[dict[str, Rank], Graph]:
        """Return ranks, the same shares of what is full there, and what they leave of a network."""
        graph = record(pruned, self.spec)
        layers, _ = layers_of(pruned, graph, SCHEMES, self.goal)
        found: dict[str, Rank] = {}
        for name, change in wanted.items():
            scheme, share = str(change.amount[0]), float(change.amount[1])
            if name in layers and scheme in layers[name].fulls:
                number = ceil(share * layers[name].fulls[scheme][0])
                rank = layers[name].rounded(scheme, [number], self.goal.multiple)
                if layers[name].saving(rank) > 0:
                    found[name] = rank
        if found:
            skeleton = pruned.to("meta")
            factorise(skeleton, found)
            graph = record(skeleton, self.spec)
        return found, graph


def whole_of(name: str, ranks: Mapping[str, Rank]) -> str:
    """Return the layer that a layer is a factor of; itself if of none.

    >>> whole_of("mix.0.1", {"mix.0": ("channel", 8)})
    'mix.0'
    """
    above = name.rpartition(".")[0]
    return above if above in ranks else name


def _loss(moved: Divergence, smaller: Callable[[], Network]) -> float:
    return moved(smaller())


def _ranks(layer: Layer, spectra: Spectra, multiple: int) -> Iterator[Rank]:
    """Yield ranks that save shares of what a layer costs, in the scheme that keeps most of it."""
    whole = sum(layer.cost(None).values())
    found: list[Rank] = []
    for share in SHARES:
        best: tuple[float, Rank] | None = None
        for scheme, (full, *_) in layer.fulls.items():
            kept = spectra.kept(layer.name, scheme)[0]
            for number in range(full, 0, -1):
                rank = layer.rounded(scheme, [number], multiple)
                if layer.saving(rank) >= share * whole:
                    keeps = float(kept[int(rank[1]) - 1])
                    best = max(best or (keeps, rank), (keeps, rank), key=lambda pair: pair[0])
                    break
        if best is not None and best[1] not in found:
            found.append(best[1])
    yield from found
