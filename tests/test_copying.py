"""Copies of modules are as those of `copy.deepcopy`."""

import copy

import pytest
import torch
from torch import Tensor, nn

from frugalseg.copying import copied
from frugalseg.models.catalog import MODELS, Architecture


def modules_of(module: nn.Module) -> list[tuple[str, type, dict[str, str]]]:
    """Name what a module and its parts are, and what they hold."""
    return [
        (name, type(part), {key: repr(value) for key, value in vars(part).items()})
        for name, part in module.named_modules()
    ]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_network_is_copied_whole(name: str) -> None:
    network = Architecture(name=name, settings={"num_classes": 3}).build().eval()
    made, expected = copied(network), copy.deepcopy(network)
    assert modules_of(made) == modules_of(expected)
    assert [type(value) for value in vars(made).values()] == [
        type(value) for value in vars(expected).values()
    ]


def test_what_is_done_to_a_copy_does_not_reach_the_first() -> None:
    network = Architecture(name="frugalnet", settings={"num_classes": 3, "width": 0.25}).build()
    before = copy.deepcopy(network.state_dict())
    made = copied(network)
    with torch.no_grad():
        for tensor in [*made.parameters(), *made.buffers()]:
            tensor.fill_(7)
    made.train().add_module("more", nn.Identity())
    made.register_forward_hook(lambda *_: None)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert "more" not in dict(network.named_modules())
    assert len(network._forward_hooks) == 0


class Twice(nn.Module):
    """One part under two names, one weight in two layers, and a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = nn.Linear(2, 2)
        self.tied = nn.Linear(2, 2)
        self.tied.weight = self.first.weight
        self.plain = torch.ones(2)
        self.parts = [[1], {"a": (2, [3])}]

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.tied(self.second(x)) + self.plain
        return result


def test_what_was_one_thing_stays_one_thing() -> None:
    first = Twice()
    made = copied(first)
    assert made.first is made.second is not first.first
    assert made.tied.weight is made.first.weight is not first.first.weight
    assert made.plain is not first.plain
    assert made.parts == first.parts
    assert made.parts[0] is not first.parts[0]
    x = torch.randn(3, 2)
    assert torch.equal(made(x), first(x))


def test_a_memo_puts_other_things_in_the_place_of_some() -> None:
    first, other = nn.Linear(2, 2), nn.Parameter(torch.zeros(2, 2))
    made = copied(first, {id(first.weight): other})
    assert made.weight is other
