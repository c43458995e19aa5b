"""Which classes are missing somewhere, or too rare to be learnt."""

from collections.abc import Iterator, Sequence

from frugalseg.core.labels import LabelSpace
from frugalseg.data.check.findings import Finding
from frugalseg.data.check.splits import ClassShare, SplitReport

NEAR_EMPTY_SHARE = 0.001
FEW_IMAGES = 5
COMMON_SHARE = 0.05  # a class of more pixels than this may be in few images,
FEW_SHARE = 0.1  # unless those are few beside the others

_DIVIDE = "divide the pictures anew so that both splits have it, or leave the class out"
_MORE = "label more pictures that show it, merge it with another class, or weight the loss"


def class_findings(splits: Sequence[SplitReport], labels: LabelSpace) -> Iterator[Finding]:
    """Tell of splits without pictures, and of classes that a split lacks or hardly has."""
    by_name = {split.name: split for split in splits if split.images}
    for name in ("train", "val"):
        if name not in by_name:
            what = f"there is no split {name!r} with usable images"
            yield _warning("empty-split", what, f"move some pictures to {name}")
    train, val = by_name.get("train"), by_name.get("val")
    if train is None:
        return
    for i, name in enumerate(labels.names):
        in_train = train.classes[i]
        if not in_train.pixels:
            only = ", only in val" if val and val.classes[i].pixels else ", nor in val"
            what = f"class {name!r} never occurs in train{only}: it cannot be learnt"
            yield _warning("class-not-in-train", what, _DIVIDE)
        else:
            yield from rarity(in_train, train.images)
        if in_train.pixels and val and not val.classes[i].pixels:
            what = f"class {name!r} never occurs in val: its score will be absent"
            yield _warning("class-not-in-val", what, _DIVIDE)


def rarity(share: ClassShare, images: int) -> Iterator[Finding]:
    """Tell if a class of the training split has few pixels, or is in few of its images."""
    if share.pixel_share < NEAR_EMPTY_SHARE:
        what = f"class {share.name!r} is rare in train: {share.pixel_share:.2%} of the pixels"
        yield _warning("rare-class", what, _MORE)
    seldom = share.pixel_share <= COMMON_SHARE or share.image_share <= FEW_SHARE
    if share.images < FEW_IMAGES and seldom:
        what = (
            f"class {share.name!r} is in {share.images} of the {images} images of train:"
            " few to learn it from"
        )
        yield _warning("few-images-of-class", what, _MORE)


def _warning(kind: str, what: str, todo: str) -> Finding:
    return Finding(severity="warning", kind=kind, what=what, todo=todo)
