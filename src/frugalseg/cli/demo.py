"""`frugalseg demo`: the main job on the embedded data set, in minutes."""

from pathlib import Path

from frugalseg.cli import options
from frugalseg.cli.fit import finish
from frugalseg.cli.progress import shown

DEVICE = "mcu-512k"


def demo(out: options.Out = Path("demo"), quiet: options.Quiet = False) -> None:
    """Fit a network for a microcontroller to sorting-belt scenes: some minutes on two cores."""
    import shutil

    from frugalseg.workflows.fit import fit

    if (out / "run" / "last.safetensors").is_file():  # a demo starts anew
        shutil.rmtree(out / "run")
    with shown(quiet=quiet) as progress:
        result = fit("belt", DEVICE, out, recipe="demo", progress=progress)
    finish(result, out)
