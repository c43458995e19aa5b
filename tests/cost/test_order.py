from collections.abc import Iterator, Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalseg.core.inputs import InputSpec
from frugalseg.cost.graph import Graph, Op, Tensor, chain
from frugalseg.cost.order import best_order, reordered
from frugalseg.cost.peak import peak


def _valid(graph: Graph, order: Sequence[int]) -> bool:
    there = {*graph.inputs}
    for i in order:
        if not {*graph.ops[i].reads} <= there:
            return False
        there |= {*graph.ops[i].writes}
    return sorted(order) == list(range(len(graph.ops)))


def _every_order(graph: Graph) -> Iterator[tuple[int, ...]]:
    return (o for o in permutations(range(len(graph.ops))) if _valid(graph, o))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to seven operators, each reading one to three of the tensors before it."""
    sizes = st.integers(1, 20)
    tensors = {"t0": Tensor(name="t0", shape=(draw(sizes),))}
    ops = []
    for i in range(draw(st.integers(1, 7))):
        reads = draw(
            st.lists(st.sampled_from(sorted(tensors)), min_size=1, max_size=3, unique=True)
        )
        name = f"t{i + 1}"
        tensors[name] = Tensor(name=name, shape=(draw(sizes),))
        ops.append(Op(name=name, kind="any", reads=tuple(reads), writes=(name,)))
    read = {name for op in ops for name in op.reads}
    ends = [name for name in tensors if name not in read]
    outputs = draw(st.lists(st.sampled_from(ends), min_size=1, unique=True))
    return Graph(tensors=tensors, ops=tuple(ops), inputs=("t0",), outputs=tuple(outputs))


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_no_order_at_all_is_better(graph: Graph) -> None:
    found = best_order(graph)
    least = min(peak(reordered(graph, order)).bytes for order in _every_order(graph))
    assert _valid(graph, found.ops)
    assert found.peak_bytes == peak(reordered(graph, found.ops)).bytes == least
    assert found.is_optimal


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_a_search_that_is_given_up_still_bounds(graph: Graph) -> None:
    found = best_order(graph, most_states=2)
    least = min(peak(reordered(graph, order)).bytes for order in _every_order(graph))
    assert found.bound_bytes <= least <= found.peak_bytes <= peak(graph).bytes
    assert found.peak_bytes == peak(reordered(graph, found.ops)).bytes


def ladder(branches: int, length: int) -> Graph:
    """Branches side by side, each wide in the middle, concatenated at the end."""
    ops, shapes = [], {"in": (10,)}
    for b in range(branches):
        before = "in"
        for i in range(length):
            name = f"b{b}.{i}"
            shapes[name] = (100 if i == length // 2 else 4,)
            ops.append((i, Op(name=name, kind="conv_2d", reads=(before,), writes=(name,))))
            before = name
    breadth_first = [op for _, op in sorted(ops, key=lambda pair: pair[0])]
    ends = tuple(f"b{b}.{length - 1}" for b in range(branches))
    shapes["out"] = (4 * branches,)
    cat = Op(name="cat", kind="concatenation", reads=ends, writes=("out",))
    return chain(*breadth_first, cat, shapes=shapes)


@pytest.mark.parametrize(("branches", "length"), [(3, 3), (6, 5), (8, 9)])
def test_branches_run_one_after_the_other(branches: int, length: int) -> None:
    graph = ladder(branches, length)
    found = best_order(graph)
    assert peak(graph).bytes >= 100 * branches
    # All branches but the last have left their end; the last one is at its widest.
    assert found.peak_bytes == 4 * (branches - 1) + 4 + 100
    assert found.is_optimal


def test_too_many_branches_leave_a_bound_and_a_better_order() -> None:
    graph = ladder(15, 9)
    found = best_order(graph)
    assert 114 <= found.bound_bytes <= 160 <= found.peak_bytes < peak(graph).bytes
    assert not found.is_optimal


def test_a_chain_has_one_order() -> None:
    ops = [Op(name=f"t{i}", kind="relu", reads=(f"t{i - 1}",), writes=(f"t{i}",))
           for i in range(1, 200)]  # fmt: skip
    graph = chain(*ops, shapes={f"t{i}": (i,) for i in range(200)})
    found = best_order(graph)
    assert found.ops == tuple(range(199))
    assert found.bound_bytes == 199 + 198


def test_the_networks_of_the_catalog_are_settled() -> None:
    pytest.importorskip("torch", reason="networks are built with torch")
    from frugalseg.models.catalog import MODELS, Architecture
    from frugalseg.trace import trace

    for name in MODELS:
        network = Architecture(name=name, settings={"num_classes": 11}).build()
        graph = trace(network, InputSpec(height=96, width=128))
        found = best_order(graph)
        assert found.is_optimal
        assert found.peak_bytes <= peak(graph).bytes
