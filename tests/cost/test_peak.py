from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from frugalseg.cost.graph import Graph, Op, chain
from frugalseg.cost.peak import peak


def op(name: str, reads: str, write: str) -> Op:
    return Op(name=name, kind="add", reads=tuple(reads), writes=(write,))


def test_input_and_output_of_an_operator_count_together() -> None:
    graph = chain(op("only", "a", "b"), shapes={"a": (70,), "b": (30,)})
    assert peak(graph).bytes == 100


def test_a_skip_connection_stays_alive_until_it_is_added() -> None:
    shapes = {"a": (10,), "b": (100,), "c": (20,), "d": (100,), "e": (100,)}
    found = peak(
        chain(
            op("stem", "a", "b"),
            op("narrow", "b", "c"),
            op("widen", "c", "d"),
            op("add", "bd", "e"),
            shapes=shapes,
        )
    )
    assert (found.bytes, found.at) == (300, "add")
    assert [moment.bytes for moment in found.timeline] == [110, 120, 220, 300]
    assert found.timeline[2].tensors == ("b", "c", "d")


def test_the_image_is_alive_until_its_last_reader() -> None:
    shapes = {"a": (50,), "b": (10,), "c": (10,)}
    graph = chain(op("one", "a", "b"), op("two", "ab", "c"), shapes=shapes)
    assert peak(graph).bytes == 70


def test_an_early_output_is_alive_to_the_end() -> None:
    shapes = {"a": (10,), "b": (40,), "c": (10,), "d": (10,)}
    graph = chain(op("head", "a", "b"), op("one", "a", "c"), op("two", "c", "d"), shapes=shapes)
    assert graph.outputs == ("b", "d")
    assert [moment.bytes for moment in peak(graph).timeline] == [50, 60, 60]


def test_a_result_that_nobody_reads_dies_at_once() -> None:
    shapes = {"a": (10,), "b": (40,), "c": (10,)}
    graph = chain(op("dead", "a", "b"), op("one", "a", "c"), shapes=shapes)
    assert peak(replace(graph, outputs=("c",))).timeline[1].bytes == 20


def test_a_network_without_operators_holds_its_input() -> None:
    empty = chain(shapes={"a": (10,)})
    assert peak(empty).bytes == 10


def naive(graph: Graph) -> int:
    most = 0
    for i, now in enumerate(graph.ops):
        total = 0
        for name, tensor in graph.tensors.items():
            made = (
                -1
                if name in graph.inputs
                else next(k for k, o in enumerate(graph.ops) if name in o.writes)
            )
            reads = [k for k, o in enumerate(graph.ops) if name in o.reads]
            end = len(graph.ops) if name in graph.outputs else max(reads, default=made)
            total += tensor.bytes if made <= i <= end else 0
        assert now
        most = max(most, total)
    return most


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 7))
    shapes = {"t0": (draw(st.integers(1, 50)),)}
    ops = []
    for i in range(1, count + 1):
        reads = draw(st.lists(st.integers(0, i - 1), min_size=1, max_size=3, unique=True))
        shapes[f"t{i}"] = (draw(st.integers(1, 50)),)
        ops.append(
            Op(name=f"o{i}", kind="add", reads=tuple(f"t{k}" for k in reads), writes=(f"t{i}",))
        )
    return chain(*ops, shapes=shapes)


@given(graphs())
def test_it_agrees_with_a_naive_implementation(graph: Graph) -> None:
    if any("t0" in op.reads for op in graph.ops):
        assert peak(graph).bytes == naive(graph)
