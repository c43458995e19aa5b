from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

Run = Callable[..., Any]


def test_it_draws_and_says_where(cli: Run, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "seen.png"
    ended = cli(
        "data", "preview", tiny_folder, "--recipe", "enet", "--set", "augment.copy_paste=1",
        "-o", out, "--count", 2, "-q",
    )  # fmt: skip
    assert (ended.code, ended.out.strip()) == (0, f"preview  {out}")
    with Image.open(out) as page:
        assert page.format == "PNG"


def test_mistakes_end_with_two_and_a_hint(cli: Run, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "seen.png"
    ended = cli("data", "preview", tiny_folder, "--set", "augment.cutmx=1", "-o", out, "-q")
    assert ended.code == 2
    assert "did you mean 'cutmix'" in ended.err
    assert not out.exists()
