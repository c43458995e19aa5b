"""Write the tables of README and docs from the records; with --check, only compare.

    python benchmarks/tables.py

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from recording import read_records, values_of
from service_tables import engines, page, service
from study_tables import picture, study, ways

from frugalseg.data.catalog import FORMATS as LAYOUTS
from frugalseg.models.catalog import MODELS, Entry

ROOT = Path(__file__).parent.parent
NAMES = ("compression", "data", "quantisation", "service", "zoo")
DOCUMENTS = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in NAMES))
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite each document and picture, or fail if one is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wish = parser.parse_args()
    wanted = {path: filled(path.read_text(encoding="utf-8")) for path in DOCUMENTS}
    wanted |= {ROOT / "docs" / name: draw() for name, draw in PICTURES.items()}
    for path, fresh in wanted.items():
        if path.is_file() and path.read_text(encoding="utf-8") == fresh:
            continue
        if wish.check:
            raise SystemExit(f"{path.name} is not what the records say: run {Path(__file__).name}")
        path.write_text(fresh, encoding="utf-8")


def filled(text: str) -> str:
    """Return the text with every table written anew."""
    return BLOCK.sub(lambda m: m[1] + TABLES[m[2]]() + m[3], text)


def accuracy() -> str:
    """One row for each data set, network and device: the record that was made last."""
    head = (
        "| data | network | input | device | mIoU float | mIoU int8 | pixel accuracy"
        " | network, bytes | memory to run, bytes | training |\n" + "|---" * 10 + "|\n"
    )
    rows = {}
    for file in read_records():
        if "recipe" in file["settings"]:
            row = _accuracy_row(file)
            rows[tuple(row.split("|")[1:5])] = row
    return head + "".join(rows.values())


def latency() -> str:
    """One row for each machine and number of threads: ratios to the artifact."""
    engines = ["ONNX Runtime fp32", "PyTorch channels_last", "PyTorch, norms folded"]
    rows = [
        f"| network | processor | threads | {' | '.join(engines)} |",
        "|---" * (3 + len(engines)) + "|",
    ]
    for file in read_records():
        ratios = {r["name"]: r["value"] for r in file["records"] if r["name"].endswith("/ratio")}
        if ratios:
            told = [file["settings"]["artifact"], file["machine"], file["settings"]["threads"]]
            told += [f"{ratios[f'{engine}/ratio']:.2f}" for engine in engines]
            rows.append("| " + " | ".join(map(str, told)) + " |")
    return "\n".join(rows) + "\n"


def bands() -> str:
    """One row for each network: the arena with scores and with ids, whole and in bands."""
    ways = ("scores/whole", "scores/bands", "ids/whole", "ids/bands")
    rows = [f"| network | {' | '.join(ways)} | more MACs |", "|---" * (len(ways) + 2) + "|"]
    for file in read_records():
        found = values_of(file)
        for name in file["settings"].get("files", ()) if file["theme"] == "bands" else ():
            arenas = [f"{found[f'{name}/{way}/arena_bytes']:,}" for way in ways]
            macs = [found[f"{name}/scores/{way}/macs"] for way in ("whole", "bands")]
            rows.append(
                f"| {name} | {' | '.join(arenas)} | {100 * (macs[1] / macs[0] - 1):.1f} % |"
            )
    return "\n".join(rows) + "\n"


def estimates() -> str:
    """One row for each runtime: estimates of traced networks beside what was measured last."""
    rows = [
        "| runtime | networks | exact to the byte | most too low | most too high |",
        "|---|---|---|---|---|",
    ]
    newest = {}
    for file in read_records():
        if found := re.fullmatch(r"(estimates-[a-z0-9]+)(-\d+)?", file["theme"]):
            newest[found[1]] = file
    for theme, file in newest.items():
        pairs = _pairs(file["records"]).values()
        off = [sum(told) / sum(found) - 1 for told, found in pairs]
        exact = sum(told == found for told, found in pairs)
        ends = [f"{100 * end:.2f} %" for end in (min(*off, 0), max(*off, 0))]
        rows.append(f"| {RUNTIMES[theme]} | {len(off)} | {exact} | {' | '.join(ends)} |")
    return "\n".join(rows) + "\n"


def zoo() -> str:
    """One row for each network of the newest record of the zoo."""
    head = [
        "network", "parameters", "GMAC", "fp32, bytes", "int8, bytes", "peak int8, bytes",
        "fits", "latency, times frugalnet",
    ]  # fmt: skip
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    files = read_records()
    file = [file for file in files if file["theme"] == "zoo"][-1]
    found = values_of(file)
    fitting = [file["settings"]["fits"] for file in files if "fits" in file["settings"]][-1]
    devices = sorted(set().union(*fitting.values()))
    for name in file["settings"]["networks"]:
        fits = fitting[name]
        missing = [device for device in devices if device not in fits]
        told = "all below" if not missing else "all but " + ", ".join(missing)
        if len(missing) > len(fits):
            told = ", ".join(fits)
        ratio = found.get(f"{name}/latency_ratio")
        cells = [
            name,
            f"{found[f'{name}/parameters']:,}",
            f"{found[f'{name}/macs'] / 1e9:.3f}",
            *(_or_none(found.get(f"{name}/{kind}_bytes")) for kind in ("fp32", "int8")),
            f"{found[f'{name}/peak_activation_bytes']:,}",
            told,
            "none" if ratio is None else f"{ratio:.1f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    deploy = [
        f"{settings['name']}: {', '.join(f'{k}={v}' for k, v in settings.items() if k != 'name')}"
        for name, settings in file["settings"]["networks"].items()
        if name.endswith("deploy")
    ]
    rows += ["", f"Deploy variants: {'; '.join(deploy)}."]
    rows += [
        "",
        f"Devices that run at least one: {', '.join(devices)}. Measured on: {file['machine']}.",
    ]
    return "\n".join(rows) + "\n"


def layouts() -> str:
    """One row for each layout that can be read."""
    rows = [f"| `{name}` | {format.layout} |" for name, format in LAYOUTS.items()]
    return "\n".join(["| layout | what it looks like |", "|---|---|", *rows]) + "\n"


def networks() -> str:
    """What each network is, where it comes from and where it departs: its module's docstring."""
    told = [f"### {name}\n\n{_about(MODELS[name])}\n" for name in sorted(MODELS)]
    return "\n" + "\n".join(told)


def _about(network: Entry) -> str:
    return inspect.getdoc(sys.modules[network.build.__module__]) or ""


def _or_none(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _pairs(records: Sequence[Mapping[str, Any]]) -> Mapping[str, tuple[list[int], list[int]]]:
    """Set the figures of each network beside each other: estimated, measured."""
    found = {record["name"]: record["value"] for record in records}
    pairs: dict[str, tuple[list[int], list[int]]] = {}
    for name, value in found.items():
        network, traced, figure = name.partition("/traced/")
        if traced:
            told, measured = pairs.setdefault(network, ([], []))
            told.append(value)
            plain, threaded = f"{network}/{figure}", f"{network}/threads 1/{figure}"
            measured.append(found[plain if plain in found else threaded])
    return pairs


def _accuracy_row(file: Mapping[str, Any]) -> str:
    values = values_of(file)
    settings = file["settings"]
    network = settings["architecture"]
    told = {k: v for k, v in network["settings"].items() if k in {"width", "depth", "unpool"}}
    shape = ", ".join(f"{key} {value}" for key, value in told.items())
    cells = [
        file["theme"].split("-")[0],
        f"{network['name']}{' ' * bool(shape)}{shape}",
        f"{settings['input']['height']}x{settings['input']['width']}",
        settings["device"] or "none named",
        *(f"{100 * values[n]:.1f} %" for n in ("float/miou", "int8/miou", "int8/pixel_accuracy")),
        f"{values['file_bytes']:,}",
        _memory(file["records"]),
        f"{values['training_s'] / 60:.0f} min, {settings['steps']:,} steps",
    ]
    return "| " + " | ".join(cells) + " |\n"


def _memory(records: Sequence[Mapping[str, Any]]) -> str:
    """What the device needs to run it; of older records, only what is alive at the peak."""
    by_name = {record["name"]: record for record in records}
    if found := by_name.get("ram_bytes"):
        return f"{found['value']:,} {found['kind']}"
    return f"{by_name['peak_activation_bytes']['value']:,} activations alone"


RUNTIMES = {
    "estimates-imx500": "IMX500: run-time and model memory, networks not seen before",
    "estimates-rss": "LiteRT with XNNPACK: resident memory, networks not seen before",
    "estimates-tflm": "TensorFlow Lite Micro: arena",
}


def quantisation(theme: str) -> str:
    """One row for each way to make int8, one column for each network: the record made last."""
    files = [file for file in read_records() if file["theme"] == theme]
    values = {tuple(r["name"].rsplit("/", 2)): r["value"] for r in files[-1]["records"]}
    networks = list(dict.fromkeys(network for network, _, _ in values))
    usual = {network: values.get((network, "ptq minmax", "bytes")) for network in networks}
    rows = [f"| | {' | '.join(networks)} |", "|---" * (len(networks) + 1) + "|"]

    def cell(network: str, way: str) -> str:
        miou, size = (values.get((network, way, figure)) for figure in ("miou", "bytes"))
        if miou is None:
            return ""
        return f"{miou:.2f}" + ("" if size in (None, usual[network]) else f", {size:,.0f} bytes")

    for way in dict.fromkeys(way for _, way, _ in values):
        rows.append(f"| {way} | {' | '.join(cell(network, way) for network in networks)} |")
    return "\n".join(rows) + "\n"


def faster() -> str:
    """One row for each way to compress, one column for each network: the record made last."""
    file = [file for file in read_records() if file["theme"] == "compression-latency"][-1]
    values, ways = values_of(file), file["settings"]["ways"]
    cells: dict[tuple[str, str], str] = {}
    for run, (network, way) in ways.items():
        macs, latency = (values[f"{run}/{what}_ratio"] for what in ("mac", "latency"))
        cells[way, network] = f"{latency:.2f} ({latency / macs:.2f})"
    networks = list(dict.fromkeys(network for network, _ in ways.values()))
    rows = [f"| | {' | '.join(networks)} |", "|---" * (len(networks) + 1) + "|"]
    for way in sorted({way for _, way in ways.values()}):
        told = (cells.get((way, network), "") for network in networks)
        rows.append(f"| {way} | {' | '.join(told)} |")
    rows += ["", f"Measured on: {file['machine']}."]
    return "\n".join(rows) + "\n"


def pruned() -> str:
    """One row for each network and share of MACs, two columns for each multiple of channels.

    A later record takes the place of an earlier one for the networks that it has.
    """
    files = [file for file in read_records() if file["theme"].startswith("pruned-latency")]
    by_network: dict[str, dict[tuple[str, ...], float]] = {}
    for file in files:
        newer: dict[str, dict[tuple[str, ...], float]] = {}
        for name, value in values_of(file).items():
            network, *what = name.split("/")
            newer.setdefault(network, {})[network, *what] = value
        by_network |= newer
    values = {name: value for figures in by_network.values() for name, value in figures.items()}
    multiples = list(dict.fromkeys(multiple for _, _, multiple, _ in values))
    head = " | ".join(f"latency, {each} | over MACs" for each in multiples)
    rows = [f"| network | MACs asked for | {head} |", "|---" * (2 + 2 * len(multiples)) + "|"]
    for network, share in dict.fromkeys((network, share) for network, share, _, _ in values):
        cells = []
        for multiple in multiples:
            latency, macs = (
                values.get((network, share, multiple, f"{what}_ratio"))
                for what in ("latency", "mac")
            )
            told = ["not reached", ""]
            if latency is not None and macs is not None:
                told = [f"{latency:.2f}", f"{latency / macs:.2f}"]
            cells += told
        rows.append(f"| {network} | {share} | {' | '.join(cells)} |")
    machines = "; ".join(dict.fromkeys(file["machine"] for file in files))
    rows += ["", f"Measured on: {machines}; at {files[-1]['settings']['input']}."]
    return "\n".join(rows) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {
    "accuracy": accuracy, "bands": bands, "estimates": estimates, "latency": latency,
    "layouts": layouts, "networks": networks, "zoo": zoo,
    "quantisation": partial(quantisation, "quantisation"),
    "rounding": partial(quantisation, "rounding"),
    "deploy": partial(study, "deploy", "miou_int8"),
    "camvid_zoo": partial(study, "camvid-zoo", "miou_int8"),
    "augmentation": partial(study, "augmentation", "miou_float"),
    "service": service, "page": page, "engines": engines,
    "compression_latency": faster, "pruned_latency": pruned,
    "compression": partial(study, "compression", "miou_int8"),
    "compression_seeds": partial(study, "compression", "miou_int8", theme="compression-seeds"),
    "compression_ways": partial(ways, "compression"),
    "compression_waste": partial(study, "compression", "miou_int8", theme="compression-waste-2"),
    "colour": partial(study, "colour", "miou_float"),
    "imbalance": partial(study, "imbalance", "miou_float"),
    "sizes": partial(study, "sizes", "miou_float"),
    "waste_binary": partial(study, "waste-binary", "object_miou_int8"),
    "waste_classes": partial(study, "waste-classes", "object_miou_int8"),
}  # fmt: skip

PICTURES: Mapping[str, Callable[[], str]] = {
    f"compression-{network}.svg": partial(picture, "compression", network)
    for network in ("frugalnet", "enet", "bisenet", "icnet")
}

if __name__ == "__main__":
    main()
