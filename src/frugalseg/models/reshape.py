"""A network with other numbers of channels than its code says: what is left of a pruned one.

The shapes of weights that differ are data (`Architecture.shapes`), so that a pruned network is
built again from its name, its settings and these, without the plan that made it.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from frugalseg.core.errors import ConfigError


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name every weight and buffer with its shape."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def reshape(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> None:
    """Cut weights of a network down to these shapes; of each the first channels stay.

    Raises ConfigError for names that the network does not have, and for shapes of another rank or
    larger than its own.
    """
    known = network.state_dict()
    for name, shape in shapes.items():
        own = list(known[name].shape) if name in known else []
        ranks = len(own) == len(shape)
        if not (ranks and all(1 <= n <= most for n, most in zip(shape, own, strict=True))):
            raise ConfigError(
                f"no weight {name!r} can have the shape {list(shape)}: the network has"
                f" {own if name in known else 'none of that name'}"
            )
        layer, _, weight = name.rpartition(".")
        part = known[name][tuple(slice(n) for n in shape)]
        put(network.get_submodule(layer), weight, part.clone())
    for layer in dict.fromkeys(name.rpartition(".")[0] for name in shapes):
        tell(network.get_submodule(layer))


def put(module: nn.Module, name: str, values: Tensor) -> None:
    """Set a weight or a buffer of a module."""
    if name in module._buffers:
        module._buffers[name] = values
    else:
        old = module._parameters[name]
        assert old is not None
        module._parameters[name] = nn.Parameter(values, requires_grad=old.requires_grad)


def tell(module: nn.Module) -> None:
    """Bring what a module says of its channels in line with its weights."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        first, second = module.weight.shape[:2]
        if module.groups == 1:
            transposed = isinstance(module, nn.ConvTranspose2d)
            module.out_channels, module.in_channels = (
                (second, first) if transposed else (first, second)
            )
        elif module.groups == module.in_channels == module.out_channels:  # one filter for each
            module.groups = module.in_channels = module.out_channels = first
    elif isinstance(module, nn.BatchNorm2d):
        module.num_features = module.weight.shape[0]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.shape[0]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
