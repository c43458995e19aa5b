"""Finding files: which lie in a folder, which are pairs, and which lie outside the data set."""

import glob
import os
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from frugalseg.core.errors import DataError
from frugalseg.data.dataset import Sample, refuse
from frugalseg.data.split import SPLIT_FOLDERS, divided
from frugalseg.imaging.read import IMAGE_SUFFIXES, LOSSY, MASK_SUFFIXES

Samples = tuple[Sample, ...]
_NOT_UTF8 = "is not in UTF-8; rename the file"
_PUT = "put the file itself there"
_DESCRIBING = frozenset({".csv", ".json", ".tar", ".txt", ".yaml", ".yml"})

Match = Callable[[Path, Path, list[str]], Samples]


def files_below(
    root: Path, folder: Path, suffixes: Collection[str], problems: list[str]
) -> dict[str, Path]:
    """List the files below `folder` by name, sorted: the path in it without suffix, as "a/b".

    Hidden files and folders and other kinds of file are passed over. Two files of one name are a
    problem, and so are names that are not in UTF-8, a link that leaves `root` and a link to a
    folder. Names are in Unicode's composed form: some systems write accents as characters of their
    own.
    """
    files: dict[str, Path] = {}
    if not folder.is_dir():
        return files
    if not inside(root, folder):
        problems.append(f"{folder}: a link that leaves {root}; put the files themselves there")
        return files
    for path in sorted(_walk(root, folder, suffixes, problems)):
        name = plain(path.relative_to(folder).with_suffix("").as_posix())
        if (shown := readable(name)) != name:
            problems.append(f"{folder}: the name of {shown} {_NOT_UTF8}")
        elif name in files:
            problems.append(
                f"{path}: same name as {files[name].name}; keep one of them, or rename it"
                " together with its partner"
            )
        else:
            files[name] = path
    return files


def files_by_stem(
    folder: Path, suffixes: Collection[str], problems: list[str], *, root: Path | None = None
) -> dict[str, Path]:
    """List the files of one folder by stem, sorted; two of the same stem are a problem.

    Hidden files and other kinds of file are passed over. A name that is not in UTF-8 is a problem,
    and so are links that lead out of `root`, if it is given: those to files, and the folder itself.
    """
    files: dict[str, Path] = {}
    if root and folder.is_dir() and not inside(root, folder):
        problems.append(f"{folder}: a link that leaves {root}; put the files themselves there")
        return files
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        if not path.is_file():
            problems.append(f"{readable(path)}: not a file, or a link to none")
        elif readable(path.stem) != path.stem:
            problems.append(f"{folder}: the name of {readable(path.name)} {_NOT_UTF8}")
        elif root and path.is_symlink() and not inside(root, path):
            problems.append(f"{path}: a link that leaves the data set; put the file here instead")
        elif path.stem in files:
            problems.append(
                f"{path}: same name as {files[path.stem].name}; keep one of them"
                " or rename it together with its label"
            )
        else:
            files[path.stem] = path
    return files


def readable(name: object) -> str:
    """Write a name for a message; what is not in UTF-8 in it becomes question marks.

    >>> readable("a" + chr(0xDCFF))
    'a?'
    """
    return str(name).encode(errors="replace").decode()


def plain(name: str) -> str:
    """Compose the letters of a name: an e and an accent become é.

    >>> len("e\u0301"), len(plain("e\u0301"))
    (2, 1)
    """
    return unicodedata.normalize("NFC", name)


def cut(files: Mapping[str, Path], ending: str) -> dict[str, Path]:
    """Keep the names with this ending, and cut it off.

    >>> cut({"a_L": Path("a_L.png"), "b": Path("b.png")}, "_L")["a"].name
    'a_L.png'
    """
    return {
        name.removesuffix(ending): path for name, path in files.items() if name.endswith(ending)
    }


def spread(samples: Sequence[Sample], most: int) -> list[Path]:
    """Choose the masks of at most so many samples, at equal distances."""
    return [sample.label for sample in samples[:: -(-len(samples) // most) or 1]]


def pairs(
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    problems: list[str],
    *,
    place: str,
    pictures: Path | None = None,
) -> Samples:
    """Match images and masks by name; one without partner is a problem, as is a lossy mask.

    `place` says where a mask is expected, the last * in it for its name; `pictures` is the folder
    where its picture is.
    """
    before, _, after = place.rpartition("*")
    problems += [
        f"{path}: no mask; expected {before}{name}{after}"
        for name, path in images.items()
        if name not in masks
    ]
    problems += [
        f"{path}: no image for this mask{_looked_for(name, pictures)}"
        for name, path in masks.items()
        if name not in images
    ]
    lossless = {name: path for name, path in masks.items() if not is_lossy(path, problems)}
    return tuple(
        Sample(name=name, image=path, label=lossless[name])
        for name, path in images.items()
        if name in lossless
    )


def _looked_for(name: str, folder: Path | None) -> str:
    """Say where a picture was looked for, and which file of its name cannot be read."""
    if folder is None:
        return ""
    others = sorted(folder.glob(f"{glob.escape(name)}.*")) if folder.is_dir() else []
    if not others:
        return f" in {folder}"
    return f"; {others[0]} is of a kind that is not read: convert it to PNG or JPEG"


def is_lossy(mask: Path, problems: list[str]) -> bool:
    """Tell by its name whether a mask is of a lossy format, which is a problem."""
    if mask.suffix.lower() in MASK_SUFFIXES:
        return False
    problems.append(f"{mask}: {LOSSY}")
    return True


def match_masks(
    images: Path, masks: Path, problems: list[str], *, root: Path | None = None
) -> Samples:
    """Match two folders by stem; a file without partner is a problem, as is a lossy mask."""
    return pairs(
        files_by_stem(images, IMAGE_SUFFIXES, problems, root=root),
        files_by_stem(masks, IMAGE_SUFFIXES, problems, root=root),
        problems,
        place=f"{masks}/*.png",
        pictures=images,
    )


def match_inside(images: Path, masks: Path, problems: list[str], *, root: Path) -> Samples:
    """Match two folders by stem; a link that leaves the data set is a problem too."""
    samples = match_masks(images, masks, problems)
    problems += leaving(root, samples)
    return samples


def matched_splits(root: Path, images: Path, masks: Path, match: Match) -> dict[str, Samples]:
    """Match two folders, each with folders for the splits, or with none and then divided.

    Raises DataError with all that does not match, and where there is nothing.
    """
    problems: list[str] = []
    loose = match(images, masks, problems)
    named = [name for name in SPLIT_FOLDERS if any((t / name).is_dir() for t in (images, masks))]
    splits: dict[str, Samples] = {}
    for name in named:
        if (split := SPLIT_FOLDERS[name]) in splits:
            problems.append(f"{images / name}: a second folder for {split!r}")
        splits[split] = match(images / name, masks / name, problems)
    if named and loose:
        problems.append(
            f"{images}: {len(loose)} images lie beside the folders {', '.join(named)};"
            " move them into one"
        )
    refuse(root, problems)
    if not any((loose, *splits.values())):
        raise DataError(f"{root}: no images in {images} (JPEG, PNG, BMP or WebP)")
    return splits or divided(loose)


def leaving(root: Path, samples: Sequence[Sample]) -> list[str]:
    """Name the files of samples that lie outside the data set, by way of symbolic links."""
    return [
        f"{path}: a link that leaves the folder of the data set; copy the file to here"
        for sample in samples
        for path in (sample.image, sample.label)
        if not inside(root, path)
    ]


def refuse_links(root: Path) -> None:
    """Refuse links out of the data set among the files that describe it: lists, labels, shards.

    They lie in its folder or one below; pictures and masks are the business of each layout.
    """
    places = [root, *(path for path in sorted(root.iterdir()) if path.is_dir())]
    outside = [path for place in places for path in _links(place) if not inside(root, path)]
    refuse(root, [f"{path}: a link that leaves {root}; {_PUT}" for path in outside])


def inside(root: Path, path: Path) -> bool:
    """Tell whether a file lies in the folder of its data set, symbolic links followed."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return False


def _links(folder: Path) -> list[Path]:
    """List the links in a folder whose names are those of files that describe a data set."""
    try:
        with os.scandir(folder) as entries:
            links = [Path(e) for e in entries if e.name[0] != "." and e.is_symlink()]
    except OSError:
        return []  # told when the folder is read
    return sorted(path for path in links if path.suffix.lower() in _DESCRIBING)


def _walk(
    root: Path, folder: Path, suffixes: Collection[str], problems: list[str]
) -> Iterator[Path]:
    unread: list[OSError] = []
    for where, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        problems += [
            f"{path}: a link to a folder is not followed; put the files themselves there"
            for path in (Path(where, name) for name in folders)
            if path.is_symlink()
        ]
        for name in names:
            path = Path(where, name)
            if name.startswith(".") or path.suffix.lower() not in suffixes:
                continue
            if trouble := _trouble(root, path):
                problems.append(f"{path}: {trouble}")
            else:
                yield path
    problems += [f"{e.filename}: {(e.strerror or 'cannot be read').lower()}" for e in unread]


def _trouble(root: Path, path: Path) -> str:
    """Say why a file cannot be taken; nothing if it can."""
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        return ""
    if not stat.S_ISLNK(mode):
        return "a pipe or a device, which cannot be read as a file; remove it"
    if not inside(root, path):
        return f"a link that leaves {root}; {_PUT}"
    return "" if path.is_file() else "a link to a file that is not there; remove it"
