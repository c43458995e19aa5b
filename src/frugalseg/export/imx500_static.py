"""A network as a graph of modules for pictures of one size, as quantisers and compilers read it.

Networks ask for the shape of a tensor: for the padding, for the size to resize to. torch.fx knows
no shapes and gives up there; this tracer computes each step along with a picture and answers. What
remains has no question left in it.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.models.network import Network

IMAGE = "image"
CONV_2D = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


class Deployed(nn.Module):
    """What the sensor runs: a normalised picture in, native scores or their ids out."""

    def __init__(self, network: Network, output: str) -> None:
        super().__init__()
        self.network, self.output = network, output

    def forward(self, image: Tensor) -> Tensor:
        """Return scores (N, classes, h, w), or ids (N, h, w)."""
        scores_NChw = self.network.native(image)
        return scores_NChw.argmax(1) if self.output == "ids" else scores_NChw


def static_graph(network: Network, spec: InputSpec, output: str) -> fx.GraphModule:
    """Trace a network for pictures of this size; `output` is "ids" or "scores".

    Convolutions become modules, even if the network calls them as functions. Raises ConfigError
    where the path through the network depends on what is in the picture.
    """
    deployed = Deployed(network, output).eval()
    tracer = _Tracer(torch.zeros(1, spec.channels, *spec.size))
    try:
        graph = tracer.trace(deployed)
    except fx.proxy.TraceError as wrong:
        raise ConfigError(f"{type(network).__name__} has no static graph: {wrong}") from wrong
    traced = fx.GraphModule(tracer.root, graph)
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target in {F.conv2d, torch.conv2d}:
            _as_module(traced, node)
        if node.kwargs.get("ceil_mode"):
            _without_rounding(traced, node)
    traced.graph.lint()
    traced.recompile()
    return traced.eval()


class _Known(fx.Proxy):
    """A tensor of the graph that knows its shape."""

    @property
    def shape(self) -> torch.Size:
        return self._value.shape

    @property
    def ndim(self) -> int:
        return self._value.ndim

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return self.ndim

    @property
    def _value(self) -> Tensor:
        value: Tensor = self.node.meta["value"]
        return value


class _Tracer(fx.Tracer):
    def __init__(self, image_NCHW: Tensor) -> None:
        super().__init__()
        self._image, self._computing = image_NCHW, False

    def proxy(self, node: fx.Node) -> _Known:
        return _Known(node, self)

    def create_proxy(self, *args: Any, **kwargs: Any) -> Any:
        proxy = super().create_proxy(*args, **kwargs)
        if proxy.node.op != "output":
            self._computing = True
            try:
                proxy.node.meta["value"] = self._value_of(proxy.node)
            finally:
                self._computing = False
        return proxy

    # While a value is computed, what the tracer put in place of calls and attributes must not
    # add to the graph.
    def call_module(
        self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self._computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    @torch.no_grad()
    def _value_of(self, node: fx.Node) -> Any:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: n.meta["value"])
        match node.op, node.target:
            case "placeholder", _:
                return self._image
            case "get_attr", str() as name:
                module, _, attribute = name.rpartition(".")
                return getattr(self.root.get_submodule(module), attribute)
            case "call_module", str() as name:
                return self.root.get_submodule(name)(*args, **kwargs)
            case "call_method", str() as name:
                return getattr(args[0], name)(*args[1:], **kwargs)
            case _, function:
                assert callable(function)
                return function(*args, **kwargs)


def _without_rounding(traced: fx.GraphModule, node: fx.Node) -> None:
    """Leave out that a pooling rounds up where it changes nothing: the converter refuses it."""
    plain: dict[str, Any] = {**node.kwargs, "ceil_mode": False}
    args, kwargs = fx.node.map_arg((node.args, plain), lambda n: n.meta["value"])
    assert callable(node.target)
    if node.target(*args, **kwargs).shape == node.meta["value"].shape:
        node.kwargs = plain


def _as_module(traced: fx.GraphModule, node: fx.Node) -> None:
    given: dict[str, Any] = {**dict(zip(CONV_2D, node.args, strict=False)), **node.kwargs}
    weight, bias = (
        None if (entry := given.get(name)) is None else traced.get_parameter(str(entry.target))
        for name in ("weight", "bias")
    )
    assert weight is not None
    groups = given.get("groups", 1)
    conv = nn.Conv2d(
        weight.shape[1] * groups, weight.shape[0], (weight.shape[2], weight.shape[3]),
        bias=bias is not None, stride=given.get("stride", 1), padding=given.get("padding", 0),
        dilation=given.get("dilation", 1), groups=groups,
    )  # fmt: skip
    conv.weight = weight
    conv.bias = bias
    name = f"conv_{node.name}"
    traced.add_submodule(name, conv)
    with traced.graph.inserting_before(node):
        called = traced.graph.call_module(name, (given["input"],))
    node.replace_all_uses_with(called)
    traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
