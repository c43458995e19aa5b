"""Checkpoint: one safetensors file; architecture and settings are JSON in its header. No pickle.

One file, because one rename is atomic: a run that is killed at any moment leaves the checkpoint
before or the one after. Tensors named `weights.*` are the ones to use (averaged, if the run
averages); `state.*` is what resuming needs besides: raw weights and optimizer moments.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from frugalseg.core.errors import ArtifactError, ConfigError, FrugalsegError
from frugalseg.core.files import complete_file
from frugalseg.core.inputs import InputSpec
from frugalseg.core.labels import LabelSpace
from frugalseg.models.catalog import Architecture
from frugalseg.models.network import Network
from frugalseg.training.packing import below

VERSION = 1
SUFFIX = ".safetensors"

log = logging.getLogger("frugalseg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network and, where it was kept, what it takes to go on training it."""

    architecture: Architecture
    input: InputSpec
    labels: LabelSpace
    weights: Mapping[str, Tensor]
    recipe: Mapping[str, Any]
    step: int
    elapsed_s: float
    best_miou: float | None = None
    state: Mapping[str, Tensor] = field(default_factory=dict)

    def network(self) -> Network:
        """Build the network with these weights, in evaluation mode.

        Raises ArtifactError where the weights do not belong to the architecture.
        """
        network = self.architecture.build()
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as wrong:
            raise ArtifactError(f"weights and architecture do not match: {wrong}") from wrong
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the checkpoint as `path`, whole or not at all."""
    header = {
        "version": VERSION,
        "architecture": checkpoint.architecture.to_dict(),
        "input": checkpoint.input.to_dict(),
        "labels": checkpoint.labels.to_dict(),
        "recipe": dict(checkpoint.recipe),
        "step": checkpoint.step,
        "elapsed_s": checkpoint.elapsed_s,
        "best_miou": checkpoint.best_miou,
    }
    tensors = _named("weights", checkpoint.weights) | _named("state", checkpoint.state)
    with complete_file(path) as draft:
        try:
            save_file(tensors, draft, metadata={"frugalseg": json.dumps(header, allow_nan=False)})
        except SafetensorError as wrong:  # its way to say that the disk is full
            raise OSError(f"{path}: {wrong}") from wrong


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; the folder of a run stands for its best one.

    Raises ArtifactError where the file is missing, damaged or of another version.
    """
    path = find_checkpoint(path)
    try:
        with safe_open(path, framework="pt") as stream:
            header = json.loads((stream.metadata() or {})["frugalseg"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        if header["version"] != VERSION:
            raise ArtifactError(f"version {header['version']}; this release reads {VERSION}")
        return Checkpoint(
            architecture=Architecture(**header["architecture"]),
            input=InputSpec.from_dict(header["input"]),
            labels=LabelSpace.from_dict(header["labels"]),
            weights=below("weights", tensors),
            state=below("state", tensors),
            recipe=header["recipe"],
            step=header["step"],
            elapsed_s=header["elapsed_s"],
            best_miou=header["best_miou"],
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as wrong:
        raise ArtifactError(f"cannot read the checkpoint {path}: {wrong!r}") from wrong
    except FrugalsegError as wrong:
        raise ArtifactError(f"cannot read the checkpoint {path}: {wrong}") from wrong


def start_from(network: Network, path: Path) -> None:
    """Copy the weights of a checkpoint into a network, where name and shape are the same.

    What stays fresh (a classifier for other classes, a decoder that the checkpoint lacks) is
    logged. Raises ArtifactError where the checkpoint cannot be read, ConfigError where nothing
    fits.
    """
    found, own = load_checkpoint(path).weights, network.state_dict()
    taken = {n: t for n, t in found.items() if n in own and own[n].shape == t.shape}
    if not any(tensor.ndim > 1 for tensor in taken.values()):  # a bias fits by chance
        raise ConfigError(f"no weight of {path} fits this network: it is of another kind")
    network.load_state_dict(taken, strict=False)
    fresh = sorted({name.partition(".")[0] for name in own.keys() - taken.keys()})
    log.warning(
        "%d of %d tensors start from %s%s",
        len(taken), len(own), path, f"; fresh: {', '.join(fresh)}" if fresh else "",
    )  # fmt: skip


def find_checkpoint(path: Path) -> Path:
    """Return `path` if it is a file, else the best or last checkpoint in that folder."""
    if path.is_file():
        return path
    for place in (path, path / "run"):
        for name in ("best", "last"):
            if (found := place / f"{name}{SUFFIX}").is_file():
                return found
    raise ArtifactError(
        f"no checkpoint at {path}: expected a .safetensors file or the folder of a training run"
    )


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Contiguous in the plain layout: safetensors keeps no memory format.
    return {f"{prefix}.{n}": t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
