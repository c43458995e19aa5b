from frugalseg.cost.graph import Op, Tensor, chain


def op(name: str, reads: str, write: str, **facts: int) -> Op:
    return Op(name=name, kind="conv_2d", reads=tuple(reads), writes=(write,), **facts)  # type: ignore[arg-type]


def test_a_tensor_of_indices_takes_four_bytes_each() -> None:
    assert Tensor(name="ids", shape=(2, 3), element_bytes=4).bytes == 24


def test_sums_run_over_all_operators() -> None:
    graph = chain(
        op("one", "a", "b", macs=5, params=2),
        op("two", "b", "c", macs=7, params=3),
        shapes={"a": (1,), "b": (1,), "c": (1,)},
    )
    assert (graph.macs, graph.params) == (12, 5)


def test_the_outside_world_reads_the_outputs() -> None:
    graph = chain(
        op("one", "a", "b"), op("two", "bb", "c"), shapes={"a": (1,), "b": (1,), "c": (1,)}
    )
    assert graph.num_readers() == {"a": 1, "b": 1, "c": 1}
