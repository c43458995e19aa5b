"""What a smaller network has to keep to, and the search for the least loss that gets it there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import lcm
from typing import TypeVar

from frugalseg.core.budget import Budget, Excess, Footprint, Verdict
from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device
from frugalseg.cost.footprint import footprint
from frugalseg.cost.graph import Graph
from frugalseg.cost.memory import as_run

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the smaller network has to keep to; None where it need not.

    `budget` is compared with its footprint on `device`, or as LiteRT counts without one. Channels
    and ranks are multiples of `channels`, and of what the device stores together.
    """

    budget: Budget
    device: Device | None = None
    parameters: int | None = None
    channels: int = 1

    @property
    def multiple(self) -> int:
        """The number of which channels and ranks are multiples."""
        return lcm(self.channels, 1 if self.device is None else self.device.channel_multiple)

    def check(self, graph: Graph, *, spared: int = 0) -> Verdict:
        """Compare a network with all limits; `spared` are bytes that its file has less."""
        need = self._need(graph, spared)
        excess = list(self.budget.check(need).excess)
        if self.device is not None:
            excess += self.device.check(need).excess
        if self.parameters is not None and graph.params > self.parameters:
            excess.append(
                Excess(resource="parameters", needed=graph.params, allowed=self.parameters)
            )
        return Verdict(tuple(excess))

    def figures(self, graph: Graph, *, spared: int = 0) -> dict[str, int]:
        """Name what a network comes to, as plans tell it."""
        need = self._need(graph, spared)
        return {
            "parameters": graph.params,
            "macs": need.macs,
            "storage_bytes": need.storage_bytes,
            "ram_bytes": need.ram_bytes,
        }

    def _need(self, graph: Graph, spared: int) -> Footprint:
        need = footprint(graph, self.device)
        return replace(need, storage_bytes=need.storage_bytes - spared)

    def limits(self) -> dict[str, int]:
        """Name each limit with what it allows an estimate: fields of a budget, and parameters."""
        budgets = [self.budget] if self.device is None else [self.budget, self.device.design_budget]
        given = [(n, limit) for b in budgets for n, limit in b.limits().items()]
        allowed: dict[str, int] = {}
        for name, limit in (*given, ("parameters", self.parameters)):
            if limit is not None:
                allowed[name] = min(limit, allowed.get(name, limit))
        return allowed

    def toward(self, whole: Graph, share: float) -> "Goal":
        """Return limits that lie a share of the way, in ratios, from what a network has to these.

        Limits that it keeps to stay.
        """
        need = self._need(whole, 0)

        def more(name: str, limit: int, usable: int) -> int:
            own = whole.params if name == "parameters" else getattr(need, name)
            return int(usable * (max(1.0, own / limit) ** (1 - share) - 1))

        given = {n: limit for n, limit in self.budget.limits().items() if limit is not None}
        device, parameters = self.device, self.parameters
        if device is not None:
            usable, raw = device.budget.limits(), dict(device.limits)
            design = {n: limit for n, limit in device.design_budget.limits().items() if limit}
            eased = {n: raw[n] + more(n, limit, usable[n] or 0) for n, limit in design.items()}
            device = device.model_copy(update={"limits": device.limits.model_copy(update=eased)})
        return replace(
            self,
            budget=Budget(**{n: limit + more(n, limit, limit) for n, limit in given.items()}),
            device=device,
            parameters=parameters and parameters + more("parameters", parameters, parameters),
        )

    def refuse(self, whole: Graph, spec: InputSpec) -> None:
        """Raise ConfigError for a device that cannot run the network whatever its size."""
        if self.device is not None and (
            refusals := self.device.refusals(as_run(whole, self.device), spec)
        ):
            raise ConfigError(f"{self.device.name} {'; '.join(refusals)}")


def least(of_share: Callable[[float], _T], meets: Callable[[_T], bool], steps: int) -> _T:
    """Search the least share, 0 to 1, of which what is left meets a goal; else return that of 1.

    >>> least(lambda share: 100 - share * 100, lambda left: left <= 75, steps=4)
    75.0
    """
    low, high = 0.0, 1.0
    best = of_share(low)
    if meets(best):
        return best
    best = of_share(high)
    if not meets(best):
        return best
    for _ in range(steps):
        middle = (low + high) / 2
        tried = of_share(middle)
        if meets(tried):
            high, best = middle, tried
        else:
            low = middle
    return best
