"""Label Studio names pictures by an address: which file of the data set is meant."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from frugalseg.data.files import inside
from frugalseg.data.text import shown
from frugalseg.imaging.read import IMAGE_SUFFIXES

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")

Pictures = Mapping[str, Sequence[Path]]  # by name


def pictures_by_name(root: Path) -> Pictures:
    """List the pictures of a data set: those in `images/`, or all if there is no such folder."""
    top = root / "images" if (root / "images").is_dir() else root
    pictures: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(top.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(top).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and not hidden:
            pictures[path.name].append(path)
    return pictures


def picture_of(root: Path, data: object, pictures: Pictures) -> Path:
    """Find the picture that a task is about, by its name; raises ValueError unless there is one."""
    address = _address(data)
    remote = "://" in address
    place = urlsplit(address).path if remote else address.partition("?d=")[2] or address
    for path in (PurePosixPath(text.replace("\\", "/")) for text in (place, unquote(place))):
        for name in (path.name, _UPLOAD.sub("", path.name, count=1)):
            found = pictures.get(name, [])
            if len(found) > 1:
                found = [file for file in found if file.parent.name == path.parent.name] or found
            if len(found) > 1:
                raise ValueError(f"{len(found)} pictures are called {shown(name)}")
            if found and not inside(root, found[0]):
                raise ValueError(f"{found[0]} is a link that leaves the data set; copy the file")
            if found:
                return found[0]
    raise ValueError(f"no picture of the name in {shown(address)}; put it beside the export")


def _address(data: object) -> str:
    """Find what names the picture: `image`, or the only text that ends like a picture's name."""
    values = data if isinstance(data, dict) else {}
    if isinstance(image := values.get("image"), str):
        return image
    texts = [text for text in values.values() if isinstance(text, str)]
    named = [text for text in texts if text.lower().endswith(tuple(IMAGE_SUFFIXES))]
    if len(named) != 1:
        raise ValueError(f"{len(named)} of its texts name a picture; expected one, such as 'image'")
    return named[0]
