"""A teacher: a trained network whose scores another one is to learn (distillation).

It is shown the very crops that the student sees. Its scores may be kept on disk, one file for each
batch, named by what is in the batch: a later training by the same recipe, of whatever student,
reads them there. They are kept in 8 bits, and used as they are kept from the first time on, so that
it makes no difference to the result who computed them.
"""

import hashlib
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.files import complete_file, sha256
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.losses.distil import channel_wise, pair_wise, pixel_wise
from frugalseg.models.layers import resize
from frugalseg.models.network import Network
from frugalseg.training.batches import normalise
from frugalseg.training.checkpoint import find_checkpoint, load_checkpoint
from frugalseg.training.critic import Adversary
from frugalseg.training.packing import packed, unpack
from frugalseg.training.recipe import Teacher

LEVELS = 255
FILE = "file"


class Teaching:
    """What a student is told beside its labels; called at each step, with what it made of a batch.

    Raises ConfigError for a teacher of other classes or channels, ArtifactError where it cannot be
    read.
    """

    def __init__(self, wish: Teacher, labels: LabelSpace, spec: InputSpec) -> None:
        assert wish.run is not None
        path = find_checkpoint(Path(wish.run))
        kept = load_checkpoint(path)
        if differences := _differences(kept.labels, labels, kept.input, spec):
            raise ConfigError(f"{path} cannot teach this: {differences}")
        self.wish, self.spec = wish, kept.input
        self.network = kept.network().requires_grad_(False)
        self.name = sha256(path)
        self.adversary = Adversary(labels.num_classes, spec.channels) if wish.holistic else None
        self.views: tuple[_View, ...] = ()
        self.autocast: Callable[[], AbstractContextManager[Any]] = nullcontext

    def join(self, student: Network, fabric: Fabric) -> None:
        """Bring teacher and critic to where the student is; look at what it sees if need be."""
        self.autocast = fabric.autocast
        self.network.to(fabric.device)
        if self.adversary is not None:
            self.adversary.critic.to(fabric.device)
        if self.wish.pair:
            self.views = _View(student), _View(self.network)

    def loss(self, image_NCHW: Tensor, student_NChw: Tensor) -> Tensor:
        """Return what is to be added to the loss; the picture is raw, the scores are native."""
        wish, total = self.wish, student_NChw.new_zeros(())
        teacher_NChw = resize(self.scores(image_NCHW), student_NChw.shape[-2:])
        if wish.pixel:
            total = total + wish.pixel * pixel_wise(
                student_NChw, teacher_NChw, temperature=wish.temperature
            )
        if wish.channel:
            total = total + wish.channel * channel_wise(
                student_NChw, teacher_NChw, temperature=wish.channel_temperature
            )
        if wish.pair:
            own, taught = (view.features for view in self.views)
            total = total + wish.pair * pair_wise(own, resize(taught.float(), own.shape[-2:]))
        if self.adversary is not None:
            image = normalise(image_NCHW, self.spec)
            total = total + wish.holistic * self.adversary.loss(image, student_NChw)
            self.pending = image, student_NChw.detach(), teacher_NChw
        return total

    def learn(self) -> None:
        """Let the critic learn from the batch that the student has just learnt from."""
        if self.adversary is not None:
            self.adversary.learn(*self.pending)

    def scores(self, image_NCHW: Tensor) -> Tensor:
        """Return the teacher's native scores for raw pictures, from the disk if they are there."""
        if self.wish.cache is None:
            return self._scores(image_NCHW)
        content = image_NCHW.cpu().numpy().tobytes()
        name = hashlib.sha256(f"{self.name}{tuple(image_NCHW.shape)}".encode() + content)
        path = Path(self.wish.cache) / name.hexdigest()[:2] / f"{name.hexdigest()[2:]}.npz"
        if not path.is_file():
            write_scores(path, self._scores(image_NCHW))
        return read_scores(path).to(image_NCHW.device)

    @torch.no_grad()
    def _scores(self, image_NCHW: Tensor) -> Tensor:
        with self.autocast():
            return self.network.native(normalise(image_NCHW, self.spec)).float()

    def state(self) -> dict[str, Tensor]:
        """Return what a later process needs to go on: which teacher it was, and the critic."""
        tensors = {FILE: torch.tensor(list(bytes.fromhex(self.name)), dtype=torch.uint8)}
        if self.adversary is not None:
            tensors |= packed(self.adversary.critic, self.adversary.optimizer)
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave; raises ConfigError if the teacher's file has changed."""
        if bytes(state[FILE].tolist()).hex() != self.name:
            raise ConfigError(
                f"{self.wish.run} is not the teacher that this run began with: its file has changed"
            )
        if self.adversary is not None:
            own = {name: tensor for name, tensor in state.items() if name != FILE}
            unpack(own, self.adversary.critic, self.adversary.optimizer)


def write_scores(path: Path, scores_NChw: Tensor) -> None:
    """Keep scores in 8 bits, each channel of each picture in a range of its own."""
    scores = scores_NChw.cpu().numpy()
    low, high = scores.min(axis=(2, 3), keepdims=True), scores.max(axis=(2, 3), keepdims=True)
    step = np.maximum(high - low, np.finfo(np.float32).tiny) / LEVELS
    codes = np.round((scores - low) / step).astype(np.uint8)
    with complete_file(path) as draft:
        np.savez_compressed(draft, codes=codes, low=low, step=step)


def read_scores(path: Path) -> Tensor:
    """Read what `write_scores` kept; raises ArtifactError where that is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            scores = kept["codes"] * kept["step"] + kept["low"]
        return torch.from_numpy(scores.astype(np.float32))
    except (OSError, ValueError, KeyError, EOFError, zlib.error, BadZipFile) as wrong:
        raise ArtifactError(f"{path}: damaged ({wrong}); remove it") from wrong


class _View:
    """The maps from which a network makes its scores, seen whenever it makes some."""

    def __init__(self, network: Network) -> None:
        self.features = torch.zeros(0)
        classifier(network).register_forward_pre_hook(self._look)

    def _look(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.features = inputs[0]


def classifier(network: Network) -> nn.Module:
    """Return the convolution that makes the native scores: the last one with their channels."""
    calls: list[nn.Module] = []

    def note(module: nn.Module, _inputs: object, made: Tensor) -> None:
        if made.shape[1] == network.num_classes:
            calls.append(module)

    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [module.register_forward_hook(note) for module in convolutions]
    was_training = network.training
    with torch.no_grad():
        device = next(network.parameters()).device
        network.eval().native(torch.zeros(1, network.channels, 64, 64, device=device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return calls[-1]


def _differences(taught: LabelSpace, labels: LabelSpace, seen: InputSpec, spec: InputSpec) -> str:
    """Say in what a teacher differs from what is to be learnt; nothing if in nothing."""
    told = []
    if taught.names != labels.names:
        told.append(f"it knows {', '.join(taught.names)}, the data {', '.join(labels.names)}")
    if seen.channels != spec.channels:
        told.append(f"it sees {seen.channels} channels, the student {spec.channels}")
    return "; ".join(told)
