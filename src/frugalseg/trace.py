"""The one bridge from PyTorch to cost: run a network on empty tensors, note each operator.

What is noted are ATen operators, so functional calls count as well as modules. Nothing is noted
for an operator that only looks at a tensor in another way (view, permute), and for one that no
activation enters: it is computed once, at export.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple, Self

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from frugalseg.copying import copied
from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.aten import FILLS, VIEWS, VIEWS_IF_WHOLE, facts
from frugalseg.cost.graph import Graph, Op, Tensor
from frugalseg.cost.memory import as_run

NOTHING: frozenset[int] = frozenset()


def trace(model: nn.Module, spec: InputSpec) -> Graph:
    """Trace what is deployed, for one picture: `model.native` if there is one, else the model.

    The graph is the one that LiteRT runs, fused and in the best order. The model itself is
    not touched, its mode and its weights included.
    """
    return as_run(record(model, spec))


def record(model: nn.Module, spec: InputSpec) -> Graph:
    """Note the operators as PyTorch runs them in evaluation mode, before any fusion."""
    return _run(model, spec, watched=False)[0]


class Call(NamedTuple):
    """A call of a torch function: in which module, of what, and the how manieth of these."""

    layer: str
    function: str
    number: int


class Calls(TorchFunctionMode):
    """Sees each call of a torch function while `model` runs inside `with`.

    It is above autograd, so that what `called` returns instead of the result is learnt through.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model, self._layers = model, list[str]()
        self._hooks: list[Any] = []
        self._counts: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Self:
        for name, module in self._model.named_modules():
            enter = lambda *_, name=name: self._layers.append(name)  # noqa: E731
            self._hooks.append(module.register_forward_pre_hook(enter))
            self._hooks.append(module.register_forward_hook(self._leave))
        self._layers.clear()
        self._counts.clear()
        return super().__enter__()  # type: ignore[no-any-return,no-untyped-call]

    def __exit__(self, *what: Any) -> None:
        super().__exit__(*what)  # type: ignore[no-untyped-call]
        while self._hooks:
            self._hooks.pop().remove()

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Name the call and hand it on."""
        layer, name = self._layers[-1] if self._layers else "", getattr(func, "__name__", "")
        self._counts[layer, name] += 1
        return self.called(Call(layer, name, self._counts[layer, name]), func, args, kwargs or {})

    def called(self, call: Call, func: Any, args: Any, kwargs: Any) -> Any:
        """Do it; to be written by who watches."""
        raise NotImplementedError

    def _leave(self, *_: Any) -> None:
        self._layers.pop()


class _Watch(Calls):
    """Notes which activation each call makes."""

    def __init__(self, model: nn.Module, recorder: "_Recorder") -> None:
        super().__init__(model)
        self.recorder, self.made = recorder, dict[Call, str]()

    def called(self, call: Call, func: Any, args: Any, kwargs: Any) -> Any:
        """Compare what is there afterwards with what was there before."""
        before = self.recorder.num_ops
        made = func(*args, **kwargs)
        if self.recorder.num_ops > before and (name := self.recorder.name_of(made)) is not None:
            self.made[call] = name
        return made


def record_calls(model: nn.Module, spec: InputSpec) -> tuple[Graph, Mapping[Call, str]]:
    """Record, and name the activation that each call of a torch function made."""
    return _run(model, spec, watched=True)


def _run(model: nn.Module, spec: InputSpec, *, watched: bool) -> tuple[Graph, Mapping[Call, str]]:
    shadow = _shadow(model)
    recorder = _Recorder(shadow)
    watch = _Watch(shadow, recorder)
    image_NCHW = torch.empty(1, spec.channels, *spec.size, device="meta")
    image = recorder.name_activation(image_NCHW, "image")
    try:
        with torch.no_grad(), torch.device("meta"), recorder, watch if watched else nullcontext():
            result = getattr(shadow, "native", shadow)(image_NCHW)
    except (RuntimeError, NotImplementedError, ValueError) as wrong:
        raise ConfigError(
            f"{type(model).__name__} cannot be traced for a picture of {spec} with"
            f" {spec.channels} channels: {wrong}"
        ) from wrong
    graph = recorder.graph(image, _tensors(result))
    return replace(graph, pads_same=getattr(model, "pads_same", False)), watch.made


def _shadow(model: nn.Module) -> nn.Module:
    """Copy the modules but not the numbers: weights become tensors without data."""
    memo: dict[int, Any] = {}
    for weight in model.parameters():
        empty = torch.empty_like(weight, device="meta", requires_grad=False)
        memo[id(weight)] = nn.Parameter(empty, requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copied(model, memo).eval()


def _quick_norm(x: torch.Tensor, *_: Any) -> tuple[torch.Tensor, ...]:
    return torch.empty_like(x), x.new_empty(0), x.new_empty(0)


def _quick_sum(x: torch.Tensor, y: Any, **_: Any) -> torch.Tensor:
    shape = torch.broadcast_shapes(x.shape, getattr(y, "shape", ()))
    return x.new_empty(shape, dtype=torch.result_type(x, y))


def _quick_mean(x: torch.Tensor, axes: Any, keepdim: bool = False, **_: Any) -> torch.Tensor:
    over = {axis % x.ndim for axis in axes or range(x.ndim)}
    sides = [(1 if axis in over else side, axis in over) for axis, side in enumerate(x.shape)]
    return x.new_empty([side for side, gone in sides if keepdim or not gone])


def _quick_resize(x_NChw: torch.Tensor, size: Sequence[int], *_: Any) -> torch.Tensor:
    return x_NChw.new_empty((*x_NChw.shape[:2], *size))


# For these, PyTorch would import its compiler to find the shape, which takes seconds.
QUICK: Mapping[Any, Callable[..., Any]] = {
    torch.ops.aten.add.Tensor: _quick_sum,
    torch.ops.aten.mean.dim: _quick_mean,
    torch.ops.aten.native_batch_norm.default: _quick_norm,
    torch.ops.aten.upsample_bilinear2d.default: _quick_resize,
    torch.ops.aten.upsample_nearest2d.default: _quick_resize,
}


class _Recorder(TorchDispatchMode):
    """Sees each ATen operator that runs inside `with recorder:`."""

    def __init__(self, shadow: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names: dict[int, str] = {}  # of activations, by id
        self._tensors: dict[str, Tensor] = {}
        self._ops: list[Op] = []
        self._titles: Counter[str] = Counter()
        self._uncounted: Counter[str] = Counter()
        self._layers: list[str] = []
        # All tensors seen, by memory. Holding them keeps Python from using an id twice.
        self._sharing: dict[int, list[torch.Tensor]] = {}
        self._sources: dict[int, frozenset[int]] = {}  # constant -> weights it was made from
        self._unpaid = {id(weight): weight.numel() for weight in shadow.parameters()}
        for weight in (*shadow.parameters(), *shadow.buffers()):
            self._hold(weight)
            self._sources[id(weight)] = frozenset({id(weight)})
        for name, module in shadow.named_modules():
            module.register_forward_pre_hook(lambda *_, name=name: self._layers.append(name))
            module.register_forward_hook(self._leave)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping it would import it: seconds, and nothing here is compiled

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, then note it."""
        result = QUICK.get(func, func)(*args, **(kwargs or {}))
        name = _plain_name(func._schema)
        given, made = _tensors((args, kwargs)), _tensors(result)
        if name in FILLS or not any(id(tensor) in self._names for tensor in given):
            self._note_constants(given, made)
        elif name in VIEWS or (name in VIEWS_IF_WHOLE and _whole(given[0], made)):
            for tensor in made:
                self._hold(tensor)
                self._names[id(tensor)] = self._names[id(given[0])]
        else:
            self._note(func._schema, args, given, made)
        return result

    def name_activation(self, tensor: torch.Tensor, name: str) -> str:
        """Take in a new activation."""
        self._hold(tensor)
        self._names[id(tensor)] = name
        self._tensors[name] = Tensor(
            name=name, shape=tuple(tensor.shape), element_bytes=_element_bytes(tensor)
        )
        return name

    @property
    def num_ops(self) -> int:
        """How many operators were noted so far."""
        return len(self._ops)

    def name_of(self, made: object) -> str | None:
        """Name an activation; None for all else."""
        return self._names.get(id(made))

    def graph(self, image: str, results: Iterable[torch.Tensor]) -> Graph:
        """Close the book. Results that nobody reads (indices of a pooling) never existed."""
        outputs = tuple(dict.fromkeys(self._names[id(t)] for t in results if id(t) in self._names))
        read = {*outputs, *(name for op in self._ops for name in op.reads)}
        ops = tuple(
            replace(op, writes=tuple(n for n in op.writes if n in read) or op.writes[:1])
            for op in self._ops
        )
        kept = {image, *outputs, *(n for op in ops for n in (*op.reads, *op.writes))}
        return Graph(
            tensors={name: tensor for name, tensor in self._tensors.items() if name in kept},
            ops=ops,
            inputs=(image,),
            outputs=outputs,
            uncounted=dict(self._uncounted),
        )

    def _leave(self, *_: Any) -> None:
        self._layers.pop()

    def _note_constants(self, given: list[torch.Tensor], made: list[torch.Tensor]) -> None:
        for tensor in made:
            self._hold(tensor)
            self._sources[id(tensor)] = self._origins(given)

    def _note(
        self, schema: Any, args: Any, given: list[torch.Tensor], made: list[torch.Tensor]
    ) -> None:
        name = _plain_name(schema)
        in_place = [
            tensor
            for argument, tensor in zip(schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        found = facts(name, args, made[0])
        if not found:
            self._uncounted[name] += 1
            found = {"kind": name}
        stored = [tensor for tensor in given if self._sources.get(id(tensor))]
        found.setdefault("weight_elements", sum(tensor.numel() for tensor in stored))
        reads = tuple(dict.fromkeys(self._names[id(t)] for t in given if id(t) in self._names))
        title = self._title(found["kind"])
        write = self._overwrite if in_place else self.name_activation
        self._ops.append(
            Op(
                name=title,
                layer=self._layers[-1] if self._layers else "",
                reads=reads,
                writes=tuple(write(t, f"{title}:{i}") for i, t in enumerate(in_place or made)),
                # A weight is counted where it is used first.
                params=sum(self._unpaid.pop(weight, 0) for weight in self._origins(stored)),
                **found,
            )
        )

    def _title(self, kind: str) -> str:
        title = f"{self._layers[-1] if self._layers else ''} {kind}".strip()
        self._titles[title] += 1
        return title if self._titles[title] == 1 else f"{title} {self._titles[title]}"

    def _overwrite(self, tensor: torch.Tensor, name: str) -> str:
        """Name a result that was written in place: all that shares its memory has changed."""
        sharing = self._sharing[_memory(tensor)]
        self.name_activation(max(sharing, key=torch.Tensor.numel), name)
        for other in sharing:
            self._names[id(other)] = name
        return name

    def _origins(self, constants: Iterable[torch.Tensor]) -> frozenset[int]:
        return NOTHING.union(*(self._sources.get(id(t), NOTHING) for t in constants))

    def _hold(self, tensor: torch.Tensor) -> None:
        self._sharing.setdefault(_memory(tensor), []).append(tensor)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _plain_name(schema: Any) -> str:
    """Turn "aten::relu_" into "relu": in place or not is a matter of memory."""
    name: str = schema.name.partition("::")[2]
    return name.removesuffix("_")


def _memory(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _element_bytes(tensor: torch.Tensor) -> int:
    """Deployed as int8, except for indices, which LiteRT keeps as int32."""
    return 4 if tensor.dtype in {torch.int32, torch.int64} else 1


def _whole(source: torch.Tensor, made: Sequence[torch.Tensor]) -> bool:
    same_size = len(made) == 1 and made[0].numel() == source.numel()
    return same_size and _element_bytes(made[0]) == _element_bytes(source)
