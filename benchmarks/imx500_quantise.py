"""Quantise one network of `imx500_nets` and write it as ONNX, in the environment of the converter.

python benchmarks/imx500_quantise.py "3x64x64 > conv 32 s2 > conv 4 k1 linear" net.onnx
"""

import functools
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from unittest import mock

import torch
from imx500_nets import Net

TORCHVISION: dict[str, dict[str, object]] = {
    "torchvision": {"__version__": "0.18.0"},
    "torchvision.transforms": {
        name: type(name, (), {}) for name in ("Normalize", "RandomCrop", "RandomHorizontalFlip",
                                              "CenterCrop")
    },
    "torchvision.transforms.transforms": {"_setup_size": None},
}  # fmt: skip


def quantise(line: str, path: str) -> None:
    """Quantise with random pictures: memory depends on shapes alone."""
    _stand_in_for_torchvision()
    import model_compression_toolkit as mct

    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = Net(line).eval()
    pictures_NCHW = torch.randn(2, net.channels, net.height, net.width)

    def pictures() -> Iterator[list[torch.Tensor]]:
        for picture in pictures_NCHW:
            yield [picture[None]]

    target = mct.get_target_platform_capabilities("pytorch", "imx500")
    quantised, _ = mct.ptq.pytorch_post_training_quantization(
        net, pictures, target_platform_capabilities=target
    )
    # The exporter that newer versions of torch prefer loses the quantisers.
    export = functools.partial(torch.onnx.export, dynamo=False)
    with mock.patch("torch.onnx.export", export):
        mct.exporter.pytorch_export_model(quantised, save_model_path=path, repr_dataset=pictures)


def _stand_in_for_torchvision() -> None:
    """The quantiser imports names of torchvision that it does not use here."""
    for name, contents in TORCHVISION.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        module.__dict__.update(contents)
        sys.modules[name] = module


if __name__ == "__main__":
    quantise(*sys.argv[1:3])
