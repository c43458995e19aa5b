import errno
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from frugalseg.core.files import (
    cache_folder,
    complete_file,
    complete_folder,
    sha256,
    write_json,
)


class PowerCut(BaseException):
    """Whatever else is not an Exception."""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def _write_half(drafts: AbstractContextManager[Path], error: type[BaseException]) -> None:
    with drafts as draft:
        (draft / "half.txt" if draft.is_dir() else draft).write_text("half")
        raise error


class TestCompleteFile:
    def test_a_finished_file_appears_under_its_name(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "a.txt"
        with complete_file(path) as draft:
            draft.write_text("whole")
            assert not path.exists()
        assert path.read_text() == "whole"
        assert _names(path.parent) == ["a.txt"]

    def test_a_draft_keeps_the_ending_and_the_file_is_readable_by_all(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        with complete_file(path) as draft:
            assert draft.suffix == ".png"
        assert path.stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, PowerCut])
    def test_what_was_there_stays_when_writing_fails(
        self, tmp_path: Path, error: type[BaseException]
    ) -> None:
        path = tmp_path / "a.txt"
        path.write_text("old")
        with pytest.raises(error):
            _write_half(complete_file(path), error)
        assert path.read_text() == "old"
        assert _names(tmp_path) == ["a.txt"]

    @pytest.mark.parametrize("drafts", [complete_file, complete_folder])
    def test_a_full_disk_is_told_with_what_was_written(
        self, tmp_path: Path, drafts: Callable[[Path], AbstractContextManager[Path]]
    ) -> None:
        path = tmp_path / "a.bin"
        with pytest.raises(OSError, match=r"No space left on device.*a\.bin"), drafts(path):
            raise OSError(errno.ENOSPC, "No space left on device")

    def test_two_writers_do_not_share_a_draft(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        with complete_file(path) as first, complete_file(path) as second:
            assert first != second


class TestCompleteFolder:
    def test_a_finished_folder_replaces_the_old_one_as_a_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        path.mkdir()
        (path / "old.txt").write_text("old")
        with complete_folder(path) as draft:
            (draft / "sub").mkdir()
            (draft / "sub" / "new.txt").write_text("new")
            assert _names(path) == ["old.txt"]
        assert _names(tmp_path) == ["new.txt", "out", "sub"]

    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
    def test_the_old_folder_stays_when_writing_fails(
        self, tmp_path: Path, error: type[BaseException]
    ) -> None:
        path = tmp_path / "out"
        path.mkdir()
        (path / "old.txt").write_text("old")
        with pytest.raises(error):
            _write_half(complete_folder(path), error)
        assert _names(tmp_path) == ["old.txt", "out"]

    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, PowerCut])
    def test_the_old_folder_comes_back_when_the_last_step_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
    ) -> None:
        path = tmp_path / "out"
        path.mkdir()
        (path / "old.txt").write_text("old")
        replace = Path.replace

        def fail_for_the_draft(self: Path, target: Path) -> Path:
            if self.name.startswith(".draft-") and not self.name.endswith("-old"):
                raise error("disk full")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", fail_for_the_draft)
        with pytest.raises(error, match="disk full"), complete_folder(path) as draft:
            (draft / "new.txt").write_text("new")
        assert _names(tmp_path) == ["old.txt", "out"]

    def test_files_and_folders_are_on_the_disk_before_they_get_their_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, synced = tmp_path / "out", list[str]()

        def note(file: Path) -> None:
            synced.append(file.name)
            assert path.exists() == (file == tmp_path)

        monkeypatch.setattr("frugalseg.core.files._sync", note)
        with complete_folder(path) as draft:
            (draft / "sub").mkdir()
            (draft / "sub" / "new.txt").write_text("new")
        assert {draft.name, "sub", "new.txt", tmp_path.name} == set(synced)

    def test_an_empty_folder_is_a_folder_too(self, tmp_path: Path) -> None:
        with complete_folder(tmp_path / "out"):
            pass
        assert (tmp_path / "out").is_dir()


def test_json_has_no_nan_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"miou": float("nan")})
    assert _names(tmp_path) == []


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


def test_the_cache_is_where_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRUGALSEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/of/the/user")
    assert cache_folder() == Path("/of/the/user/frugalseg")
    monkeypatch.setenv("FRUGALSEG_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.delenv("FRUGALSEG_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "frugalseg"
