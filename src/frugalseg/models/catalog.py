"""All networks. The key is the name of the file that holds the network."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from frugalseg.core.errors import ConfigError, unknown
from frugalseg.models.attendseg import AttendSeg, AttendSegConfig
from frugalseg.models.bisenet import BiSeNet, BiSeNetConfig
from frugalseg.models.bisenetv2 import BiSeNetV2, BiSeNetV2Config
from frugalseg.models.cgnet import CGNet, CGNetConfig
from frugalseg.models.dabnet import DABNet, DABNetConfig
from frugalseg.models.ddrnet import DDRNet, DDRNetConfig
from frugalseg.models.drbanet import DRBANet, DRBANetConfig
from frugalseg.models.edgesegnet import EdgeSegNet, EdgeSegNetConfig
from frugalseg.models.enet import ENet, ENetConfig
from frugalseg.models.factors import Ranks, factorise
from frugalseg.models.fastscnn import FastSCNN, FastSCNNConfig
from frugalseg.models.frugalnet import FrugalNet, FrugalNetConfig
from frugalseg.models.icnet import ICNet, ICNetConfig
from frugalseg.models.lraspp import LRASPP, LRASPPConfig
from frugalseg.models.network import Network
from frugalseg.models.pidnet import PIDNet, PIDNetConfig
from frugalseg.models.regseg import RegSeg, RegSegConfig
from frugalseg.models.reshape import reshape
from frugalseg.models.segformer import SegFormer, SegFormerConfig

MAX_SCORES = 256  # what ids of one byte can tell apart


@dataclass(frozen=True, slots=True)
class Entry:
    """How to build one network: a config class and what takes such a config."""

    config: Callable[..., Any]
    build: Callable[[Any], Network]

    @property
    def about(self) -> str:
        """What it is and where it comes from, in one line."""
        return (sys.modules[self.build.__module__].__doc__ or "").partition("\n")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """What can be set beside the number of classes and channels, and what it is by default."""
        fields = dataclasses.fields(self.config)  # type: ignore[arg-type]
        return {f.name: f.default for f in fields if f.name not in {"num_classes", "channels"}}


MODELS: Mapping[str, Entry] = MappingProxyType(
    {
        "attendseg": Entry(AttendSegConfig, AttendSeg),
        "bisenet": Entry(BiSeNetConfig, BiSeNet),
        "bisenetv2": Entry(BiSeNetV2Config, BiSeNetV2),
        "cgnet": Entry(CGNetConfig, CGNet),
        "dabnet": Entry(DABNetConfig, DABNet),
        "ddrnet": Entry(DDRNetConfig, DDRNet),
        "drbanet": Entry(DRBANetConfig, DRBANet),
        "edgesegnet": Entry(EdgeSegNetConfig, EdgeSegNet),
        "enet": Entry(ENetConfig, ENet),
        "fastscnn": Entry(FastSCNNConfig, FastSCNN),
        "frugalnet": Entry(FrugalNetConfig, FrugalNet),
        "icnet": Entry(ICNetConfig, ICNet),
        "lraspp": Entry(LRASPPConfig, LRASPP),
        "pidnet": Entry(PIDNetConfig, PIDNet),
        "regseg": Entry(RegSegConfig, RegSeg),
        "segformer": Entry(SegFormerConfig, SegFormer),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A network as data: its name, the settings of its config, and what became smaller since.

    `shapes` are those of weights that are smaller than the config says (see `models.reshape`),
    `ranks` those of layers that are written as smaller ones (see `models.factors`).

    >>> small = Architecture(name="frugalnet", settings={"num_classes": 2, "width": 0.25})
    >>> small.build().num_classes
    2
    """

    name: str
    settings: Mapping[str, Any]
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ranks: Ranks = field(default_factory=dict)

    def build(self) -> Network:
        """Build the network with fresh weights; raises ConfigError for a wrong setting."""
        if self.name not in MODELS:
            raise unknown("model", self.name, MODELS)
        entry = MODELS[self.name]
        known = {"num_classes", "channels", *entry.settings}
        for setting in self.settings:
            if setting not in known:
                raise unknown(f"setting of {self.name}", setting, known)
        self._check_ends()
        self._check_smaller()
        try:
            network = entry.build(entry.config(**self.settings))
        except TypeError as wrong:
            raise ConfigError(f"{self.name}: {wrong}") from wrong
        whole = self.whole_shapes()
        reshape(network, whole)
        factorise(network, self.ranks)
        reshape(network, {name: s for name, s in self.shapes.items() if name not in whole})
        return network

    def whole_shapes(self) -> dict[str, Sequence[int]]:
        """Return the shapes that layers had before they were written as smaller ones."""
        return {n: s for n, s in self.shapes.items() if n.rpartition(".")[0] in self.ranks}

    def _check_ends(self) -> None:
        """What goes in and what comes out are the same question for every network."""
        classes, channels = self.settings.get("num_classes"), self.settings.get("channels", 3)
        if type(classes) is not int or not 1 <= classes <= MAX_SCORES:
            raise ConfigError(f"num_classes must be 1 to {MAX_SCORES}, got {classes!r}")
        if channels not in (1, 3):  # it may be a value of any type
            raise ConfigError(f"channels must be 1 (grey) or 3 (RGB), got {channels!r}")

    def _check_smaller(self) -> None:
        """Shapes and ranks may come from a file, and be anything."""
        for what, by_name in (("shapes", self.shapes), ("ranks", self.ranks)):
            lists = list(by_name.values()) if isinstance(by_name, Mapping) else [None]
            if not all(isinstance(each, list | tuple) for each in lists):
                raise ConfigError(f"{what} must be lists by name, got {by_name!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        smaller = {
            what: {name: list(values) for name, values in by_name.items()}
            for what, by_name in (("shapes", self.shapes), ("ranks", self.ranks))
        }
        return {"name": self.name, "settings": dict(self.settings)} | {
            what: by_name for what, by_name in smaller.items() if by_name
        }
