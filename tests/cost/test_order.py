from collections.abc import Sequence
from random import Random

import pytest

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


def _least(graph: Graph) -> int:
    """Return the lowest peak of all orders, from all sets of operators that can be done."""
    size = {name: tensor.bytes for name, tensor in graph.tensors.items()}
    least = {frozenset[int](): 0}
    for _ in graph.ops:
        after = dict[frozenset[int], int]()
        for done, highest in least.items():
            there = {*graph.inputs, *(name for i in done for name in graph.ops[i].writes)}
            to_come = [op for i, op in enumerate(graph.ops) if i not in done]
            needed = {*graph.outputs, *(name for op in to_come for name in op.reads)}
            live = sum(size[name] for name in there & needed)
            for i, op in enumerate(graph.ops):
                if i not in done and there.issuperset(op.reads):
                    top = max(highest, live + sum(size[name] for name in op.writes))
                    then = done | {i}
                    after[then] = min(top, after.get(then, top))
        least = after
    (found,) = least.values()
    return found


def random_graph(seed: int) -> Graph:
    """Up to nine operators; some have two results, some a result that nobody reads."""
    random = Random(seed)
    most, most_reads, is_narrow = random.choice((2, 3, 8)), random.choice((1, 1, 2, 3)), seed % 2
    tensors = {"t0": Tensor(name="t0", shape=(random.randint(1, most),))}
    ops = []
    for i in range(1, random.randint(2, 10)):
        near = list(tensors)[-3:] if is_narrow else list(tensors)
        reads = tuple(random.sample(near, random.randint(1, min(len(near), most_reads))))
        writes = (f"t{i}", f"also{i}") if random.random() < 0.05 else (f"t{i}",)
        for name in writes:
            tensors[name] = Tensor(name=name, shape=(random.randint(1, most),))
        ops.append(Op(name=f"t{i}", kind="any", reads=reads, writes=writes))
    read = {name for op in ops for name in op.reads}
    ends = [name for name in tensors if name not in read]
    outputs = ends if random.random() < 0.5 else random.sample(ends, random.randint(1, len(ends)))
    if random.random() < 0.1:
        outputs = sorted({*outputs, random.choice(list(tensors))})
    return Graph(tensors=tensors, ops=tuple(ops), inputs=("t0",), outputs=tuple(outputs))


@pytest.mark.parametrize("block", range(4))
def test_no_order_at_all_is_better(block: int) -> None:
    for seed in range(1000 * block, 1000 * (block + 1)):
        graph = random_graph(seed)
        found, least = best_order(graph), _least(graph)
        assert _valid(graph, found.ops), seed
        assert found.peak_bytes == peak(reordered(graph, found.ops)).bytes == least, seed
        assert found.is_optimal, seed


def test_a_search_that_is_given_up_still_bounds() -> None:
    for seed in range(1000):
        graph = random_graph(seed)
        found, least = best_order(graph, most_states=2), _least(graph)
        assert found.bound_bytes <= least <= found.peak_bytes <= peak(graph).bytes, seed
        assert found.peak_bytes == peak(reordered(graph, found.ops)).bytes, seed


def test_a_chain_stops_where_it_is_low_before_it_is_high() -> None:
    # From 6 down to 2, where it waits for the two wide ones, then up to 8.
    reads = {"a": "in", "b": "in", "c": "in", "d": "c", "e": "d"}
    ops = [Op(name=to, kind="any", reads=(read,), writes=(to,)) for to, read in reads.items()]
    sizes = {"in": (6,), "a": (8,), "b": (8,), "c": (6,), "d": (2,), "e": (8,)}
    assert best_order(chain(*ops, shapes=sizes)).peak_bytes == 26


def test_a_fork_that_is_low_before_it_joins_waits_there() -> None:
    reads = {"a": ("in",), "b": ("in",), "out": ("a", "b"), "wide": ("side",), "end": ("wide",)}
    ops = [Op(name=to, kind="any", reads=read, writes=(to,)) for to, read in reads.items()]
    sizes = {"in": 10, "side": 1, "a": 1, "b": 1, "out": 10, "wide": 20, "end": 1}
    graph = chain(*ops, shapes={name: (size,) for name, size in sizes.items()})
    assert best_order(graph).peak_bytes == 1 + 1 + 1 + 20


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
