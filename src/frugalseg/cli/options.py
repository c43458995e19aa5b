"""Options that several commands share, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[str, typer.Option(help="Folder with images and masks, or 'belt'.")]
Format = Annotated[
    str | None, typer.Option(help="Layout of the data; default: recognised. See the README.")
]
Map = Annotated[
    Path | None,
    typer.Option(
        help="Class map: a YAML or CSV file that merges classes or ignores them, or the word"
        " supercategories."
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]
Recipe = Annotated[str, typer.Option(help="Recipe: default, enet, demo, or a YAML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one key of the recipe: optimizer.lr=2e-3. Repeatable."),
]
Time = Annotated[
    str | None,
    typer.Option(help="Train for so long: 90s, 30m, 1h30m; default: as the recipe says."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Device = Annotated[str, typer.Option(help="Device: a name (see `devices`) or a TOML file.")]
MaybeDevice = Annotated[
    str | None, typer.Option(help="Device: a name (see `devices`) or a TOML file.")
]
Output = Annotated[
    str | None,
    typer.Option(
        help="What the deployed file gives: scores (native size) or ids (input size; on an IMX500"
        " native size); default: scores, on an IMX500 ids."
    ),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Let the device's toolchain measure it as well.")
]
Pairs = Annotated[
    Path | None,
    typer.Option(help="With --verify: folder that keeps estimate and measurement; default: cache."),
]
Tolerance = Annotated[
    float, typer.Option(help="mIoU points that int8 may lose against the float network.")
]
Calibration = Annotated[int, typer.Option(help="Training pictures that set int8 ranges.")]
