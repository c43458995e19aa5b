"""What must not be in the repository: paths of one machine, package indexes, data, binaries."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Written with a gap, so that this file does not find itself.
PRIVATE = re.compile(
    r"(?<![\w.~-])/(?:wor[k]|tm[p]|hom[e]|roo[t]|opt/whee[l]s)/"
    r"|pypi\.or[g]|pythonhosted\.or[g]|download\.pytorch\.or[g]|extra-index-ur[l]"
)
MOST_BYTES = 500_000
# What ships so that the first try needs nothing: the page's engines, and a network of our own.
SHIPPED = ROOT / "src/frugalseg/serve"
LARGER = {
    SHIPPED / "page/assets/engine/litert_wasm_compat_internal.wasm.gz": 3_000_000,
    SHIPPED / "page/assets/engine/litert_wasm_internal.wasm.gz": 3_000_000,
    SHIPPED / "network/model.int8.tflite": 1_000_000,
}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_path_of_one_machine_or_a_package_index(tracked: list[Path]) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked
        for match in PRIVATE.finditer(path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert found == []


def test_no_file_is_large(tracked: list[Path]) -> None:
    large = [p.relative_to(ROOT) for p in tracked if p.stat().st_size > LARGER.get(p, MOST_BYTES)]
    assert large == []


def test_every_package_has_an_init_file_and_every_init_file_a_docstring() -> None:
    package = ROOT / "src" / "frugalseg"
    folders = {module.parent for module in package.rglob("*.py")}
    bare = [
        folder.relative_to(ROOT)
        for folder in folders
        if not (folder / "__init__.py").is_file()
        or not (folder / "__init__.py").read_text(encoding="utf-8").startswith('"""')
    ]
    assert bare == []
