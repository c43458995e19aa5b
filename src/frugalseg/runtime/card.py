"""The model card: what a stranger should know of an artifact, as Markdown."""

from frugalseg.runtime.manifest import Manifest, NetworkFile

OUTPUTS = {
    "scores": "class scores, NHWC, at the network's own size: enlarge them (bilinear, half-pixel"
    " centres), then take the largest.",
    "ids": "class ids, NHW, at the size of the input.",
}


def model_card(manifest: Manifest) -> str:
    """Write the card from the manifest alone, so that the two cannot differ."""
    labels, spec = manifest.label_space, manifest.input_spec
    on_sensor = manifest.files[0].format == "imx500"
    channels = "RGB" if spec.channels == 3 else "grey"  # noqa: PLR2004
    lines = [
        f"# {manifest.name}",
        "",
        f"Semantic segmentation, {labels.num_classes} classes: {', '.join(labels.names)}.",
        f"Made by frugalseg {manifest.frugalseg} on {manifest.created}.",
        "",
        "## Use",
        "",
        f"Input: one {channels} picture, stretched to {spec.width} pixels wide and {spec.height}"
        f" high{_use(manifest.files[0])}",
        "",
        "## Files and scores",
        "",
        f"Measured on {manifest.scored_on}{'' if on_sensor else ', through the runtime'}, at the"
        " labels' own size.",
        "",
        "| file | bytes | input | mIoU | pixel accuracy | boundary F1 |",
        "|---|---|---|---|---|---|",
        _row("float network", "", "", manifest.float_scores),
        *(_row(f.path, f"{f.bytes:,}", f.input, f.scores) for f in manifest.files),
        "",
        "| class | IoU |",
        "|---|---|",
        *(f"| {name} | {_percent(iou)} |" for name, iou in _ious(manifest).items()),
        "",
        "## Limits",
        "",
        "The scores hold for pictures like those it was trained and scored on. It was not tested"
        " for any use in which an error endangers people.",
        "",
    ]
    return "\n".join(lines)


def _use(file: NetworkFile) -> str:
    if file.format == "imx500":
        return (
            ". README.md says how packerOut.zip gets onto the sensor, and what its tensors mean."
            " `frugalseg segment` cannot run it."
        )
    return (
        ", NHWC. `uint8` holds the pixel, `int8` the pixel minus 128. Output:"
        f" {OUTPUTS[file.output]} `frugalseg segment` and `Segmenter` do all of this."
    )


def _row(name: str, size: str, held: str, scores: dict[str, object] | None) -> str:
    figures = ("miou", "pixel_accuracy", "boundary_f1")
    cells = [_percent((scores or {}).get(figure)) for figure in figures]
    return f"| {name} | {size} | {held} | {' | '.join(cells)} |"


def _ious(manifest: Manifest) -> dict[str, object]:
    scores = manifest.files[0].scores or {}
    return dict(scores.get("iou", {}))


def _percent(value: object) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, float) else "absent"
