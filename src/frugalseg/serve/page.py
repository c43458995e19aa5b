"""The page: the files that ship with the service, found once, so that no path is ever joined."""

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from starlette.responses import Response

from frugalseg.serve.problems import ProblemError

PAGE = Path(__file__).with_name("page")
INDEX = "index.html"

# Everything from here alone, and nothing of it in frames; WebAssembly computes in the page.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}

_HASHED = re.compile(r"[-.][\w-]{8,}\.\w+$")
_FOR_A_YEAR = "public, max-age=31536000, immutable"
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".tflite": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page; with `gzipped`, it is kept compressed."""

    path: Path
    media_type: str
    etag: str
    gzipped: bool
    cache: str

    def response(self, accept_encoding: str, none_match: str) -> Response:
        """Answer with the file, with 304 where the client has it."""
        headers = {"ETag": self.etag, "Cache-Control": self.cache, **HEADERS}
        if self.gzipped:
            headers["Vary"] = "Accept-Encoding"
        if self.etag in [tag.strip().removeprefix("W/") for tag in none_match.split(",")]:
            return Response(status_code=304, headers=headers)
        as_it_lies = self.gzipped and "gzip" in accept_encoding
        if as_it_lies:
            headers["Content-Encoding"] = "gzip"
        content = _content(self.path, unpacked=self.gzipped and not as_it_lies)
        return Response(content, media_type=self.media_type, headers=headers)


@dataclass(frozen=True, slots=True)
class Page:
    """Files by the path below which a browser asks for them."""

    files: dict[str, File]

    @classmethod
    def open(cls, folder: Path = PAGE) -> Self:
        """List the files of the page; without the folder there are none."""
        files = {}
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                files[name.removesuffix(".gz")] = _file(path)
        return cls(files)

    def find(self, name: str) -> File:
        """Return a file, or raise a problem (404)."""
        if found := self.files.get(name or INDEX):
            return found
        raise ProblemError(404, "this installation has no page; /openapi.json says what is here")


@cache
def _content(path: Path, *, unpacked: bool) -> bytes:
    """Read a file once. All answers share it, however many clients take their time to read."""
    content = path.read_bytes()
    return gzip.decompress(content) if unpacked else content


def _file(path: Path) -> File:
    name = path.name.removesuffix(".gz")
    suffix = Path(name).suffix
    guessed = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return File(
        path=path,
        media_type=guessed,
        etag=f'"{digest[:32]}"',
        gzipped=path.suffix == ".gz",
        cache=_FOR_A_YEAR if _HASHED.search(name) else "no-cache",
    )
