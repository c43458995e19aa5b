"""Semantic segmentation that fits: from images and a named device to a network that fits it.

The names below are imported when they are first used, so that `import frugalseg` is quick and a
device needs none of the training libraries.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frugalseg.core.errors import FrugalsegError
    from frugalseg.runtime.segmenter import Segmenter
    from frugalseg.workflows.check_data import check_data
    from frugalseg.workflows.compress import compress
    from frugalseg.workflows.evaluate import evaluate
    from frugalseg.workflows.export import export
    from frugalseg.workflows.export_page import export_page
    from frugalseg.workflows.fit import fit
    from frugalseg.workflows.study_list import study_list
    from frugalseg.workflows.study_run import study_run
    from frugalseg.workflows.study_table import study_table
    from frugalseg.workflows.toolchain import (
        check_toolchains,
        install_toolchain,
        list_toolchains,
        remove_toolchain,
    )
    from frugalseg.workflows.train import train
    from frugalseg.workflows.verify import verify
    from frugalseg.workflows.weigh import weigh

__version__ = "0.1.0"

__all__ = [
    "FrugalsegError",
    "Segmenter",
    "__version__",
    "check_data",
    "check_toolchains",
    "compress",
    "evaluate",
    "export",
    "export_page",
    "fit",
    "install_toolchain",
    "list_toolchains",
    "remove_toolchain",
    "study_list",
    "study_run",
    "study_table",
    "train",
    "verify",
    "weigh",
]

_HOMES = {
    "FrugalsegError": "frugalseg.core.errors",
    "Segmenter": "frugalseg.runtime.segmenter",
    "check_data": "frugalseg.workflows.check_data",
    "check_toolchains": "frugalseg.workflows.toolchain",
    "compress": "frugalseg.workflows.compress",
    "evaluate": "frugalseg.workflows.evaluate",
    "export": "frugalseg.workflows.export",
    "export_page": "frugalseg.workflows.export_page",
    "fit": "frugalseg.workflows.fit",
    "install_toolchain": "frugalseg.workflows.toolchain",
    "list_toolchains": "frugalseg.workflows.toolchain",
    "remove_toolchain": "frugalseg.workflows.toolchain",
    "study_list": "frugalseg.workflows.study_list",
    "study_run": "frugalseg.workflows.study_run",
    "study_table": "frugalseg.workflows.study_table",
    "train": "frugalseg.workflows.train",
    "verify": "frugalseg.workflows.verify",
    "weigh": "frugalseg.workflows.weigh",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'frugalseg' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "frugalseg":
            raise
        from frugalseg.core.errors import MissingExtraError

        raise MissingExtraError(
            f"frugalseg.{name} needs {missing.name}, which is not installed:"
            " pip install 'frugalseg[all]'"
        ) from missing


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps `frugalseg.export` the function when a package of the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system sets each imported subpackage as an attribute of its parent.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
