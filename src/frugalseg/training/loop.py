"""The training loop. It yields; the caller's `for` body logs, validates, saves and stops."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MethodType
from typing import Self

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from frugalseg.copying import copied
from frugalseg.core.errors import ArtifactError
from frugalseg.core.inputs import InputSpec
from frugalseg.data.dataset import Dataset
from frugalseg.models.network import Network
from frugalseg.training.batches import Batch, normalise, steps_in_epoch, training_batches
from frugalseg.training.low_rank import RankPressure
from frugalseg.training.objective import Objective
from frugalseg.training.packing import NETWORK, OPTIMIZER, below, packed, unpack
from frugalseg.training.precision import precision_of, spare_dilated
from frugalseg.training.quantise import Int8, Quantiser, quantiser_of
from frugalseg.training.recipe import Recipe
from frugalseg.training.schedule import rate
from frugalseg.training.sparsity import Pressure
from frugalseg.training.teacher import Teaching

RESERVED = "loop.reserved_s"
TEACHING, RANGES = "teaching", "quantize"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step as it is done. `loss` is a tensor: reading it waits for the device."""

    number: int
    progress: float
    loss: Tensor
    lr: float
    elapsed_s: float


class Training:
    """A run in progress: network, optimizer, averaged weights, and how far it is.

    `loading_s` of the `looping_s` that steps took here, they waited for their pictures; the first
    step does not count, since what loads is started for it.

    `state()` and `restore()` carry all that a later process needs to go on; on the CPU, a run
    that is counted in steps or epochs then gives the same weights to the bit.
    """

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        recipe: Recipe,
        spec: InputSpec,
        weights_C: Tensor | None,
        teaching: Teaching | None = None,
    ) -> None:
        self.dataset, self.recipe, self.spec = dataset, recipe, spec
        self.fabric = Fabric(accelerator="auto", devices=1, precision=precision_of(recipe))
        self.quantiser = quantiser_of(recipe, network, spec)
        self.averaged = copied(network).eval().requires_grad_(False)
        self.network = network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.fabric.device.type == "cpu" and recipe.precision == "bf16-mixed":
            spare_dilated(self.network)
        optimizer = _optimizer(self.network, recipe)
        if recipe.compile:  # the method alone: names of weights stay as they are
            compiled = torch.compile(type(network).outputs)
            self.network.outputs = MethodType(compiled, network)
        self.module, self.optimizer = self.fabric.setup(self.network, optimizer)
        self.module.mark_forward_method("outputs")
        self.averaged.to(self.fabric.device)
        self.objective = Objective(recipe.loss, weights_C, self.fabric.device)
        pressed = recipe.sparsity.name != "none"
        self.pressure = Pressure(recipe.sparsity, self.network) if pressed else None
        self.low_rank = (
            RankPressure(recipe.low_rank, self.network) if recipe.low_rank.ranks else None
        )
        self.teaching = teaching
        if teaching is not None:
            teaching.join(network, self.fabric)
        self.step, self.elapsed_s = 0, 0.0
        self.loading_s = self.looping_s = 0.0
        self.reserved_s = 0.0

    def progress(self) -> float:
        """Say how much of the run is done, 0 to 1: by step, or by the clock."""
        length = self.recipe.length
        if length.time is not None:
            return min(1.0, self.elapsed_s / max(length.time - self.reserved_s, 1e-9))
        return min(1.0, self.step / self.total_steps())

    def total_steps(self) -> int:
        """Return the number of steps of a run that is not counted by the clock."""
        length = self.recipe.length
        if length.steps is not None:
            return length.steps
        return max(1, math.ceil((length.epochs or 0) * steps_in_epoch(self.dataset, self.recipe)))

    def reserve(self, seconds: float) -> None:
        """Keep so much of a run by the clock for what follows the last step.

        Never less than before: the progress of a run does not go back.
        """
        if self.recipe.length.time is not None:
            self.reserved_s = max(self.reserved_s, min(seconds, 0.5 * self.recipe.length.time))

    def steps(self) -> Iterator[Step]:
        """Take steps until the run is done. The time between two `next` calls counts too."""
        batches = training_batches(self.dataset, self.recipe, self.spec, first_step=self.step)
        began, first = time.monotonic() - self.elapsed_s, self.step + 1
        while (progress := self.progress()) < 1.0:
            wanted = time.monotonic()
            batch = next(batches)
            here = time.monotonic()
            step = self._step(batch, progress, began)
            if step.number > first:
                self.loading_s += here - wanted
                self.looping_s += time.monotonic() - wanted
            yield step
            self.elapsed_s = time.monotonic() - began

    def _step(self, batch: Batch, progress: float, began: float) -> Step:
        recipe = self.recipe
        lr = recipe.optimizer.lr * rate(recipe.schedule, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # Dropout draws from torch's own generator: seed it by step, and no state need be saved.
        torch.manual_seed(recipe.seed * 1_000_003 + self.step)
        images, labels = (part.to(self.fabric.device, non_blocking=True) for part in batch)
        with self.fabric.autocast(), self._as_int8(progress):  # Fabric does it for `forward` alone
            outputs = self.module.outputs(normalise(images, self.spec))
        loss = self.objective(outputs, labels.long(), self.step)
        if self.pressure is not None:
            loss = loss + self.pressure.loss()
        if self.low_rank is not None:
            loss = loss + self.low_rank.loss(self.step, progress)
        if self.teaching is not None:
            loss = loss + self.teaching.loss(images, outputs.scores)
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimizer.step()
        if self.teaching is not None:
            self.teaching.learn()
        self.step += 1
        self._average()
        self.elapsed_s = time.monotonic() - began
        return Step(
            number=self.step,
            progress=self.progress(),
            loss=loss.detach(),
            lr=lr,
            elapsed_s=self.elapsed_s,
        )

    def quantised(self, progress: float) -> Quantiser | None:
        """Return what quantises the network, once it has begun to."""
        begun = self.quantiser is not None and progress >= self.recipe.quantize.start
        return self.quantiser if begun else None

    def _as_int8(self, progress: float) -> AbstractContextManager[None]:
        """Let the network compute in int8, as it is exported: norms frozen, no dropout."""
        if (quantiser := self.quantised(progress)) is None:
            return nullcontext()
        self.network.eval()
        return quantiser.on(self.network, learn=True)

    def judged(self) -> Network:
        """Return the averaged network as it is judged: in int8, once it is quantised."""
        quantiser = self.quantised(self.progress())
        return self.averaged if quantiser is None else Int8(self.averaged, quantiser)

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential moving average; short at first, so that the start is forgotten."""
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        pairs = zip(
            self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        for average, current in pairs:
            if average.is_floating_point():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)

    def state(self) -> dict[str, Tensor]:
        """Return raw weights, optimizer moments and the time kept for the end, by name."""
        tensors = packed(self.network, self.optimizer)
        tensors[RESERVED] = torch.tensor(self.reserved_s, dtype=torch.float64)
        if self.teaching is not None:
            tensors |= {f"{TEACHING}.{n}": t for n, t in self.teaching.state().items()}
        if self.quantiser is not None:
            tensors |= {f"{RANGES}.{n}": t for n, t in self.quantiser.ranges.items()}
        return tensors

    def restore(
        self,
        state: Mapping[str, Tensor],
        averaged: Mapping[str, Tensor],
        step: int,
        elapsed_s: float,
    ) -> Self:
        """Go on from what `state()` gave, the averaged weights, and how far the run was."""
        self.reserved_s = float(state.get(RESERVED, 0.0))
        own = {n: t for n, t in state.items() if n.partition(".")[0] in {NETWORK, OPTIMIZER}}
        try:
            unpack(own, self.network, self.optimizer)
            self.averaged.load_state_dict(dict(averaged))
            if self.teaching is not None:
                self.teaching.restore(below(TEACHING, state))
            if self.quantiser is not None:
                self.quantiser.restore(below(RANGES, state), self.fabric.device)
        except (RuntimeError, ValueError, KeyError) as wrong:
            raise ArtifactError(f"the checkpoint does not belong to this run: {wrong}") from wrong
        self.step, self.elapsed_s = step, elapsed_s
        return self


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    wish = recipe.optimizer
    groups = [
        {"params": decayed, "weight_decay": wish.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=wish.lr, betas=wish.betas)
