"""Mutated requests against a service of its own: no crash, no 500, no leak.

    python benchmarks/fuzz_service.py ARTIFACT --requests 10000 --seed 0

Sound requests of every kind (pictures in four formats, forms, batches, tensors in JSON and binary)
have bytes changed, cut, doubled or put in, in their bodies or anywhere. Each answer must be
HTTP, and where it refuses, a problem document; 500 is a failure. At the end the log must hold no
bug, and memory and open files must be what they were after the first tenth.
"""

import argparse
import collections
import contextlib
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from frugalseg.runtime.manifest import Manifest

TIMEOUT_S = 60
LEAK_BYTES = 40_000_000
LEAK_FILES = 5
SPECIAL = (
    b"\0",
    b"\xff",
    b"\r\n",
    b"--x",
    b"--x--",
    b"%00",
    b"../",
    b'"',
    b"{",
    b"[",
    b"-1",
    b"1e999",
)
FAILED_HERE = 500
REFUSED = 400


def main() -> None:
    """Send the requests, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = fuzz(wish.artifact, wish.requests, wish.seed, Path(folder))
    for problem in problems:
        print(f"FAILED: {problem}")
    raise SystemExit(bool(problems))


def fuzz(artifact: Path, count: int, seed: int, folder: Path) -> list[str]:
    """Return what went wrong."""
    limits = "limits: {headers_s: 0.3, stall_s: 0.3, body_s: 1, keep_alive_s: 1, pixels: 1000000}\n"
    (folder / "serve.yaml").write_text(limits, encoding="utf-8")
    command = [sys.executable, "-m", "frugalseg", "serve", str(artifact), "--port", "0",
               "--config", str(folder / "serve.yaml")]  # fmt: skip
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert server.stdout is not None
    host, _, port = server.stdout.readline().partition("http://")[2].strip().partition(":")
    chance = random.Random(seed)
    seeds = sound_requests(Manifest.load(artifact))
    statuses: collections.Counter[int] = collections.Counter()
    problems, early = [], (0, 0)
    for number in range(count):
        sent = mutated(chance.choice(seeds), chance)
        status, problem = send((host, int(port)), sent)
        statuses[status] += 1
        if problem:
            problems.append(f"request {number}: {problem}")
        if server.poll() is not None:
            return [*problems, f"request {number}: the service ended with {server.returncode}"]
        if number == count // 10:
            early = held(server.pid)
    time.sleep(2)  # connections that were left open end
    late = held(server.pid)
    server.terminate()
    if code := server.wait(60):
        problems.append(f"the service ended with {code}")
    log_text = (folder / "log").read_text(encoding="utf-8")
    problems += [line for line in log_text.splitlines() if '"level": "error"' in line][:3]
    if late[0] - early[0] > LEAK_BYTES or late[1] - early[1] > LEAK_FILES:
        problems.append(f"memory and files grew from {early} to {late}")
    print(f"answers by status (0: closed without one): {dict(sorted(statuses.items()))}")
    print(f"resident bytes and open files: {early} after a tenth, {late} at the end")
    return problems


def sound_requests(manifest: Manifest) -> list[bytes]:
    """Build requests that are answered well."""
    spec = manifest.input_spec
    noise_HWC = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    bodies = []
    for kind in ("PNG", "JPEG", "WEBP", "BMP"):
        stream = io.BytesIO()
        Image.fromarray(noise_HWC).save(stream, format=kind)
        bodies.append(stream.getvalue())
    queries = ("", "?format=ids", "?regions=rle&scores=true", "?regions=polygons&tta=flip",
               "?format=overlay&size=30x50&alpha=0.3", "?format=npz&scores=true")  # fmt: skip
    made = [post(f"/v1/segment{query}", body) for query in queries for body in bodies]
    form = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        + body + b"\r\n"
        for body in bodies
    ) + b"--x--\r\n"  # fmt: skip
    kind = "Content-Type: multipart/form-data; boundary=x\r\n"
    made += [post("/v1/segment/batch" + query, form, kind) for query in ("", "?format=ids")]
    shape = [1, spec.height, spec.width, spec.channels]
    tensor = {"name": "image", "datatype": "UINT8", "shape": shape}
    size = int(np.prod(shape))
    path = f"/v2/models/{manifest.name.replace(' ', '%20')}/infer"
    made.append(post(path, json.dumps({"inputs": [tensor | {"data": [7] * size}]}).encode()))
    binary = {"inputs": [tensor | {"parameters": {"binary_data_size": size}}]}
    head = json.dumps(binary).encode()
    length = f"Inference-Header-Content-Length: {len(head)}\r\n"
    made.append(post(path, head + bytes(size), length))
    paths = ("/v1/models", "/v2", "/metrics", "/openapi.json", path.removesuffix("/infer"))
    return made + [
        f"GET {p} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode() for p in paths
    ]


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """Write a request."""
    top = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}"
    return f"{top}Content-Length: {len(body)}\r\n\r\n".encode() + body


def mutated(request: bytes, chance: random.Random) -> bytes:
    """Change a request in one to eight places: its body three times of four, else anywhere."""
    top, gap, body = request.partition(b"\r\n\r\n")
    in_body = bool(body) and chance.random() < 0.75  # noqa: PLR2004
    text = bytearray(body if in_body else request)
    for _ in range(chance.randint(1, 8)):
        chance.choice(MUTATIONS)(text, chance)
    if not in_body:
        return bytes(text)
    lines = [line for line in top.split(b"\r\n") if not line.startswith(b"Content-Length")]
    return b"\r\n".join([*lines, f"Content-Length: {len(text)}".encode()]) + gap + bytes(text)


def _change(text: bytearray, chance: random.Random) -> None:
    if text:
        text[chance.randrange(len(text))] = chance.randrange(256)


def _flip(text: bytearray, chance: random.Random) -> None:
    if text:
        text[chance.randrange(len(text))] ^= 1 << chance.randrange(8)


def _change_early(text: bytearray, chance: random.Random) -> None:
    if text:  # where headers of pictures are
        text[chance.randrange(min(len(text), 64))] = chance.randrange(256)


def _cut(text: bytearray, chance: random.Random) -> None:
    begin = chance.randrange(len(text) + 1)
    del text[begin : begin + chance.choice((1, 4, 100, len(text)))]


def _double(text: bytearray, chance: random.Random) -> None:
    begin = chance.randrange(len(text) + 1)
    text[begin:begin] = text[begin : begin + chance.choice((1, 4, 100, 1000))]


def _put_in(text: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(text) + 1)
    text[at:at] = chance.choice(SPECIAL)


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _change, _flip, _change_early, _cut, _double, _put_in,
)  # fmt: skip


def send(address: tuple[str, int], request: bytes) -> tuple[int, str | None]:
    """Send a request as it is; return the status of the answer, and what is wrong with it."""
    received = bytearray()
    with contextlib.suppress(OSError), socket.create_connection(address, TIMEOUT_S) as connection:
        connection.sendall(request)
        while part := connection.recv(65_536):
            received += part
    if not received:
        return 0, None
    top, _, content = bytes(received).partition(b"\r\n\r\n")
    line = top.split(b"\r\n")[0].split()
    if len(line) < 2 or not line[0].startswith(b"HTTP/") or not line[1].isdigit():  # noqa: PLR2004
        return 0, f"no HTTP came: {top[:80]!r}"
    status = int(line[1])
    if status == FAILED_HERE:
        return status, f"500 for {request[:200]!r}"
    if status >= REFUSED and b"application/problem+json" not in top and content:
        return status, f"{status} without a problem document"
    return status, None


def held(process: int) -> tuple[int, int]:
    """Resident bytes and open files of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{process}/fd").iterdir()))


if __name__ == "__main__":
    main()
