"""How much of what has to go a change takes away."""

from collections.abc import Mapping

from frugalseg.compress.goal import Goal
from frugalseg.cost.graph import Graph


class Relief:
    """The limits that a network breaks, and by how much; each counts alike.

    A change that lowers no peak alone may be one of several that do: of memory counts what is saved
    of all maps together, if that is more.
    """

    def __init__(self, whole: Graph, goal: Goal) -> None:
        self._goal, self._figures, self._maps = goal, goal.figures(whole), _maps(whole)
        self._over = {e.resource: e.needed - e.allowed for e in goal.check(whole).excess}

    def of(self, graph: Graph) -> float:
        """Return the share of all excess that another network of its kind does without."""
        now = self._goal.figures(graph)
        saved = {figure: before - now[figure] for figure, before in self._figures.items()}
        of_maps = self._figures["ram_bytes"] * (1 - _maps(graph) / self._maps)
        return self._share(saved | {"ram_bytes": max(saved["ram_bytes"], of_maps)})

    def of_layer(self, shares: Mapping[str, float]) -> float:
        """The same for shares of figures that are saved."""
        return self._share({name: share * self._figures[name] for name, share in shares.items()})

    def of_bytes(self, stored: int) -> float:
        """The same for bytes of the file."""
        return self._share({"storage_bytes": stored})

    def _share(self, saved: Mapping[str, float]) -> float:
        memory = {name: saved.get(f"{name}_bytes", 0.0) for name in ("storage", "ram")}
        by_resource = {**saved, **memory, "total": sum(memory.values())}
        shares = [by_resource.get(name, 0.0) / over for name, over in self._over.items()]
        return sum(shares) / len(shares)


def _maps(graph: Graph) -> int:
    return sum(tensor.bytes for tensor in graph.tensors.values())
