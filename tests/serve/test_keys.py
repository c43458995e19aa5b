"""Keys and their rates."""

import hashlib
from pathlib import Path

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.serve.keys import Key, Keys, make_key, read_keys


def test_a_key_that_was_made_is_found_and_another_is_not(tmp_path: Path) -> None:
    key, line = make_key("camera-7")
    other, _ = make_key("other")
    path = tmp_path / "keys"
    path.write_text(f"# clients\n\n{line} 5/m   # the one at the gate\n", encoding="utf-8")
    keys = read_keys(path)
    found = keys.find(key)
    assert found is not None
    assert (found.name, found.count, found.per_s) == ("camera-7", 5, 60)
    for wrong in (other, key[:-1], "", line, hashlib.sha256(key.encode()).hexdigest(), "\udcff"):
        assert keys.find(wrong) is None


def test_the_file_does_not_hold_the_key() -> None:
    key, line = make_key("a")
    assert key not in line


def test_a_name_that_the_file_could_not_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="name"):
        make_key("two words")


def test_wrong_lines_are_told_together_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("a secret\nb sha256:00\nc sha256:" + "0" * 64 + " 5/year\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1, 2, 3") as told:
        read_keys(path)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("text", ["", "# none\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="no key"):
        read_keys(tmp_path / "keys")


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_keys(tmp_path / "missing")


def test_a_rate_lets_so_many_through_and_then_one_after_the_other() -> None:
    now = [0.0]
    key = Key("a", b"", count=2, per_s=10)
    keys = Keys([key], clock=lambda: now[0])
    assert [keys.take(key) for _ in range(3)] == [None, None, 5]
    now[0] = 5.0
    assert [keys.take(key) for _ in range(2)] == [None, 5]
    now[0] = 1000.0
    assert [keys.take(key) for _ in range(3)] == [None, None, 5]


def test_without_a_rate_all_go_through() -> None:
    key = Key("a", b"")
    keys = Keys([key])
    assert {keys.take(key) for _ in range(1000)} == {None}
