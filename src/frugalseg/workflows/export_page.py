"""Export to a web page: artifacts, or a checkpoint that becomes one, as a folder for any host."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from frugalseg.core.errors import ConfigError
from frugalseg.core.files import check_folder
from frugalseg.runtime.segmenter import holds_artifact
from frugalseg.serve.static import write_static


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """The folder, the names of the networks in it (the first is the default), and all its bytes."""

    folder: Path
    networks: tuple[str, ...]
    bytes: int


def export_page(
    source: str | Path, out: str | Path, *, make: Callable[[Path, Path], object] | None = None
) -> PageResult:
    """Write the page with the artifact at `source`, or those in its folder, as the folder `out`.

    Its networks run in the browser, and need neither a service nor PyTorch. Where `source` is a
    checkpoint or a run, `make(source, folder)` exports it to an artifact first; without `make` it
    is refused. Raises ArtifactError for a network that no browser runs, ConfigError where
    something else than a page lies at `out`.
    """
    source, out = Path(source), Path(out)
    if not is_checkpoint(source):
        return _result(out, [model.name for model in write_static([source], out)])
    if make is None:
        raise ConfigError(
            f"{source} is a checkpoint: export it to an artifact first, or name --data to do both"
        )
    check_folder(out.parent)
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "artifact"
        make(source, artifact)
        return _result(out, [model.name for model in write_static([artifact], out)])


def is_checkpoint(path: Path) -> bool:
    """Whether there is a checkpoint, or the folder of a run that is no artifact too."""
    if path.is_file():
        return path.suffix == ".safetensors"
    return path.is_dir() and not holds_artifact(path) and any(path.glob("*.safetensors"))


def _result(out: Path, networks: list[str]) -> PageResult:
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return PageResult(folder=out, networks=tuple(networks), bytes=size)
