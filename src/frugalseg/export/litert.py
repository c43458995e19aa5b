"""LiteRT (.tflite) in fp32: raw uint8 pixels in, class scores out."""

import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from frugalseg.core.errors import require
from frugalseg.core.inputs import InputSpec
from frugalseg.export.calibration import Pictures
from frugalseg.export.lowering import Deployed, example, lower
from frugalseg.export.order import order
from frugalseg.export.pixels import with_pixels
from frugalseg.export.quantisation import Quantisation
from frugalseg.export.tidy import tidy
from frugalseg.models.network import Network

MOST_TOLD = 4_000


def export_litert(
    network: Network,
    spec: InputSpec,
    path: Path,
    *,
    pictures: Pictures,
    how: Quantisation | None = None,
    shared: Path | None = None,
) -> None:
    """Write the network as fp32 .tflite: nothing is calibrated or rounded."""
    convert(network, spec, path, shared)
    with_pixels(path, spec)


def convert(network: Network, spec: InputSpec, path: Path, shared: Path | None = None) -> None:
    """Write a float file that takes normalised pixels: convert with litert-torch, and tidy.

    `shared` is a folder of files of this one network; what is there is not converted again.
    """
    kept = shared / "float.tflite" if shared else path
    if not kept.exists():
        with quiet():
            litert_torch = require("litert_torch", extra="export")
            module = Deployed(lower(network), spec, raw=False).eval()
            litert_torch.convert(module, (example(spec, raw=False),)).export(str(kept))
        tidy(kept)
        order(kept)
    if kept != path:
        shutil.copyfile(kept, path)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what converters print, from Python and from C, as a note to their error if they fail."""
    sys.stdout.flush(), sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, contextlib.ExitStack() as undo:
        for handle in (1, 2):
            copy = os.dup(handle)
            undo.callback(os.close, copy)
            undo.callback(os.dup2, copy, handle)
            os.dup2(kept.fileno(), handle)
        undo.enter_context(contextlib.redirect_stdout(io.StringIO()))
        undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        undo.callback(logging.disable, level)
        logging.disable(logging.CRITICAL)
        try:
            yield
        except Exception as wrong:
            kept.seek(0)
            if told := kept.read()[-MOST_TOLD:].decode(errors="replace").strip():
                wrong.add_note(f"The converter said:\n{told}")
            raise
