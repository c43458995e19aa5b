"""How much of the bare engine's throughput the service gives, its latencies and its memory.

    python benchmarks/load.py ARTIFACT PICTURES --rounds 4 --seconds 8 --record serve

The bare engine is a loop over the same pictures in a process of its own: decode, inference, PNG, in
as many threads as the service has workers, a segmenter each. It and the service take turns, so that
a machine whose speed drifts drifts for both. The load comes from this process: as many connections
as `--clients`, each asking again when it has its answer.

Two ratios are given. That of pictures per second has the client's work on the side of the service,
and holds where the machine does nothing else. That of processor seconds per picture (bare over
service) holds on a shared machine as well.
"""

import argparse
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from frugalseg.core.records import Record, this_machine
from frugalseg.runtime.segmenter import Segmenter

QUERY = "/v1/segment?format=ids"
BARE = "--bare"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NEAR_THE_END = 0.99

T = TypeVar("T")


def main() -> None:
    """Take turns, print the ratios, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("pictures", type=Path, help="folder of PNG and JPEG files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--soak", type=int, help="so many requests more, to see the memory")
    parser.add_argument("--record")
    parser.add_argument(BARE, action="store_true", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    bodies = [
        p.read_bytes() for p in sorted(wish.pictures.iterdir()) if p.suffix in {".png", ".jpg"}
    ]
    if wish.bare:
        print(json.dumps(bare(wish.artifact, bodies, wish.workers, wish.seconds)))
        return
    with_service(wish, bodies)


def with_service(wish: argparse.Namespace, bodies: list[bytes]) -> None:
    """Start a service, let it and the bare loop take turns."""
    command = [sys.executable, "-m", "frugalseg", "serve", str(wish.artifact), "--port", "0",
               "--workers", str(wish.workers)]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().partition("http://")[2].strip()
    rounds, latencies, memory = [], [], []
    try:
        ask(address, bodies, wish.clients, 2.0)  # warm up
        for number in range(wish.rounds):
            alone = json.loads(
                subprocess.run(
                    [sys.executable, *sys.argv, BARE], check=True, capture_output=True, text=True
                ).stdout
            )
            before, began = cpu_seconds(server.pid), time.perf_counter()
            times = ask(address, bodies, wish.clients, wish.seconds)
            took = time.perf_counter() - began
            used = cpu_seconds(server.pid) - before
            latencies += times
            memory.append(resident_bytes(server.pid))
            rounds.append(
                {
                    "bare_per_s": alone["per_s"],
                    "service_per_s": len(times) / took,
                    "bare_cpu_s": alone["cpu_s"],
                    "service_cpu_s": used / len(times),
                }
            )
            print(number, {key: round(value, 5) for key, value in rounds[-1].items()},
                  f"{memory[-1]:,} bytes")  # fmt: skip
        soaked = soak(wish, address, bodies, server.pid) if wish.soak else {}
    finally:
        server.terminate()
        server.wait()
    report(wish, rounds, latencies, memory, soaked)


def soak(
    wish: argparse.Namespace, address: str, bodies: list[bytes], process: int
) -> dict[str, float]:
    """Ask many times more; resident memory after each tenth."""
    done, steps = 0, []
    while done < wish.soak:
        done += len(ask(address, bodies, wish.clients, 10.0))
        if done >= (len(steps) + 1) * wish.soak / 10:
            steps.append(resident_bytes(process))
            print(f"{done:,} requests: {steps[-1]:,} bytes", flush=True)
    return {
        "soak_requests": float(done),
        "soak_first_tenth_bytes": float(steps[0]),
        "soak_last_bytes": float(steps[-1]),
    }


def report(
    wish: argparse.Namespace,
    rounds: list[dict[str, float]],
    latencies: list[float],
    memory: list[int],
    soaked: dict[str, float],
) -> None:
    """Print and record medians over the rounds."""
    figures = {
        "throughput_ratio": statistics.median(r["service_per_s"] / r["bare_per_s"] for r in rounds),
        "cpu_ratio": statistics.median(r["bare_cpu_s"] / r["service_cpu_s"] for r in rounds),
        "service_per_s": statistics.median(r["service_per_s"] for r in rounds),
        "p50_ms": 1000 * statistics.median(latencies),
        "p99_ms": 1000 * sorted(latencies)[int(NEAR_THE_END * len(latencies))],
        "memory_first_bytes": float(memory[0]),
        "memory_last_bytes": float(memory[-1]),
        "requests": float(len(latencies)),
    }
    figures |= soaked
    figures["p99_over_p50"] = figures["p99_ms"] / figures["p50_ms"]
    for name, value in figures.items():
        print(f"{name:20} {value:16,.3f}")
    if wish.record:
        from recording import write_records

        segmenter = Segmenter.open(wish.artifact)
        settings = {
            "network": segmenter.manifest.name, "workers": wish.workers, "clients": wish.clients,
            "rounds": wish.rounds, "seconds": wish.seconds, "format": "ids",
            "load_average": os.getloadavg()[0],
        }  # fmt: skip
        records = [
            Record(name=f"serve/{name}", value=value, kind="measured", on=this_machine())
            for name, value in figures.items()
        ]
        print(write_records(wish.record, "host", records, settings))


def bare(artifact: Path, bodies: list[bytes], workers: int, seconds: float) -> dict[str, float]:
    """Loop without a service; pictures and processor seconds per picture."""
    segmenters = [Segmenter.open(artifact, threads=1) for _ in range(workers)]
    for segmenter in segmenters:
        segmenter.segment(bodies[0])
    ends = time.perf_counter() + seconds
    cpu, began = time.process_time(), time.perf_counter()

    def loop(number: int) -> int:
        count = 0
        while time.perf_counter() < ends:
            labels_HW = segmenters[number].segment(bodies[count % len(bodies)]).labels_HW
            Image.fromarray(labels_HW).save(io.BytesIO(), format="PNG")
            count += 1
        return count

    total = sum(side_by_side(loop, workers))
    took, used = time.perf_counter() - began, time.process_time() - cpu
    return {"per_s": total / took, "cpu_s": used / total}


def ask(address: str, bodies: list[bytes], clients: int, seconds: float) -> list[float]:
    """Ask with several clients at once; the seconds of each answer."""
    ends = time.perf_counter() + seconds

    def loop(number: int) -> list[float]:
        times = []
        connection = http.client.HTTPConnection(address, timeout=60)
        while time.perf_counter() < ends:
            began = time.perf_counter()
            connection.request("POST", QUERY, bodies[(number + len(times)) % len(bodies)])
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise SystemExit(f"the service answered with {answer.status}")
            times.append(time.perf_counter() - began)
        connection.close()
        return times

    return [time_s for times in side_by_side(loop, clients) for time_s in times]


def side_by_side(work: Callable[[int], T], count: int) -> list[T]:
    """Do the same in several threads."""
    results: list[T] = []
    threads = [
        threading.Thread(target=lambda number=number: results.append(work(number)))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def cpu_seconds(process: int) -> float:
    """Processor seconds that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_bytes(process: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    main()
