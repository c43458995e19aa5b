"""Tables of the service and its page, for `tables.py`."""

from recording import read_records, values_of


def service() -> str:
    """One row for each time that the service was asked beside a bare loop, the calmest first."""
    rows = [
        "| network | processes at two cores | pictures per second, of a bare loop's"
        " | p99 over median | requests | memory after a tenth, bytes | at the end | on |",
        "|---" * 8 + "|",
    ]
    files = [f for f in read_records() if "serve/throughput_ratio" in values_of(f)]
    machines = list(dict.fromkeys(file["machine"] for file in files))
    for file in sorted(files, key=lambda file: float(file["settings"]["load_average"])):
        found = values_of(file)
        requests, *memory = (
            found.get(f"serve/soak_{name}", found[f"serve/{other}"])
            for name, other in (
                ("requests", "requests"),
                ("first_tenth_bytes", "memory_first_bytes"),
                ("last_bytes", "memory_last_bytes"),
            )
        )
        cells = [
            file["settings"]["network"],
            f"{file['settings']['load_average']:.0f}",
            f"{found['serve/throughput_ratio']:.2f}",
            f"{found['serve/p99_over_p50']:.1f}",
            *(f"{value:,.0f}" for value in (requests, *memory)),
            f"{1 + machines.index(file['machine'])}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    told = "; ".join(f"{number}: {name}" for number, name in enumerate(machines, start=1))
    return "\n".join([*rows, "", f"Measured on {told}."]) + "\n"


def page() -> str:
    """One row for each measurement of the page's own code in a browser."""
    rows = [
        "| network | class ids as the runtime's | network, times the runtime's"
        " | with resizing and best class |",
        "|---" * 4 + "|",
    ]
    newest = {
        file["settings"]["network"]: file
        for file in read_records()
        if file["theme"].startswith("page") and "network" in file["settings"]
    }
    for network, file in newest.items():
        found = values_of(file)
        times = [f"{found[f'{step}_over_runtime']:.1f}" for step in ("infer", "whole")]
        rows.append(f"| {network} | {100 * found['ids_agree']:.3f} % | {' | '.join(times)} |")
    told = f"Measured in {file['settings']['browser']} on: {file['machine']}."
    return "\n".join([*rows, "", told]) + "\n"


def engines() -> str:
    """One row for each engine that can run in a browser: the record made last."""
    file = [file for file in read_records() if file["theme"].startswith("browser-engines")][-1]
    found = values_of(file)
    rows = ["| engine | times the runtime | its files, gzipped, bytes |", "|---|---|---|"]
    for name in dict.fromkeys(name.rpartition("/")[0] for name in found):
        if (ratio := found.get(f"{name}/latency_over_runtime")) is not None:
            size = found.get(f"{name}/engine_gzip_bytes")
            told = "none" if size is None else f"{size:,}"
            rows.append(f"| {name} | {ratio:.1f} | {told} |")
    return "\n".join([*rows, "", f"Measured on: {file['machine']}."]) + "\n"
