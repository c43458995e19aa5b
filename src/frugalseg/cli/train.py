"""`frugalseg train`."""

from frugalseg.cli import options
from frugalseg.cli.progress import shown
from frugalseg.cli.tables import percent, score_rows, table

MUCH_LOADING = 0.1


def train(
    data: options.Data,
    out: options.Out,
    recipe: options.Recipe = "default",
    set: options.Settings = None,
    time: options.Time = None,
    device: options.MaybeDevice = None,
    resume: options.Resume = False,
    format: options.Format = None,
    map: options.Map = None,
    quiet: options.Quiet = False,
) -> None:
    """Train a network by a recipe; can be killed at any moment and resumed."""
    from frugalseg.workflows.train import train as run

    with shown(quiet=quiet) as progress:
        result = run(
            data, out, recipe=recipe, set=set or (), time=time, device=device, resume=resume,
            format=format, map=map, progress=progress,
        )  # fmt: skip
    names = result.checkpoint.labels.names
    print(table(["val", "float"], score_rows([result.scores], names)))
    if result.checkpoint.recipe["quantize"]["name"] != "none":
        print(f"mIoU in int8, as training imitates it: {percent(result.checkpoint.best_miou)}")
    print(f"\ncheckpoint  {result.folder / 'best.safetensors'}")
    if result.loading_share is not None:
        print(f"waited for pictures {percent(result.loading_share)} of the time of training")
        if result.loading_share > MUCH_LOADING:
            print("more processes that load may help: --set workers=N, as there are cores to spare")
