"""Where an artifact may be written: what is there is replaced whole, so it must be ours."""

from pathlib import Path

from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.files import check_folder, sha256
from frugalseg.runtime.manifest import NAME, Manifest

CARD = "MODEL_CARD.md"
NAMED = 5


def check_place(out: Path) -> None:
    """Refuse a place where anything lies but an artifact, or where its files were worked on."""
    check_folder(out.parent)
    if not out.exists():
        return
    try:
        manifest = Manifest.load(out)
        there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        changed = [
            name
            for name, digest in manifest.others.items()
            if name in there and sha256(out / name) != digest
        ]
    except (ArtifactError, OSError):
        raise ConfigError(f"{out} exists and is not an artifact: name another folder") from None
    foreign = sorted(there - {NAME, CARD, *(f.path for f in manifest.files), *manifest.others})
    for what, names in (("holds more than an artifact", foreign), ("was worked on", changed)):
        if names:
            raise ConfigError(f"{out} {what} ({', '.join(names[:NAMED])}): name another folder")


def hashes(draft: Path, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder of a draft, by its path in the draft."""
    return {
        path.relative_to(draft).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
