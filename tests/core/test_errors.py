import sys
from pathlib import Path

import pytest

from frugalseg.core.budget import Verdict
from frugalseg.core.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    FrugalsegError,
    GateError,
    MissingExtraError,
    OverBudgetError,
    RefusedError,
    ToolchainError,
    require,
    unknown,
)


def test_each_error_knows_its_exit_code() -> None:
    asked_wrongly: list[type[FrugalsegError]] = [
        ConfigError,
        DataError,
        ArtifactError,
        MissingExtraError,
        ToolchainError,
    ]
    assert {error.exit_code for error in asked_wrongly} == {2}
    assert {error.exit_code for error in (OverBudgetError, GateError, RefusedError)} == {1}


def test_twenty_problems_are_shown_and_the_rest_is_counted() -> None:
    error = DataError("files cannot be used", [f"{i}.png" for i in range(23)])
    assert len(error.problems) == 23
    assert str(error).splitlines()[20:] == ["  19.png", "  ... and 3 more"]
    assert "more" not in str(DataError("x", [f"{i}.png" for i in range(20)]))


def test_a_summary_alone_has_no_colon() -> None:
    assert str(DataError("the folder is empty")) == "the folder is empty"


def test_an_error_over_budget_carries_its_verdict() -> None:
    verdict = Verdict()
    assert OverBudgetError("too large", verdict).verdict is verdict


def test_a_name_far_from_all_gets_the_list_without_a_guess() -> None:
    assert str(unknown("device", "zzz", ["cpu", "mcu-2mb"])) == (
        "no device 'zzz'. Known: cpu, mcu-2mb"
    )


def test_a_missing_library_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'frugalseg\[onnx\]'"):
        require("frugalseg_has_no_such_library", extra="onnx")


def test_a_library_that_is_there_but_broken_is_another_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_library.py").write_text("import what_it_needs_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs_is_missing"):
        require("broken_library", extra="onnx")
    assert "broken_library" not in sys.modules


def test_a_library_that_comes_with_every_install_needs_no_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"not installed: pip install frugalseg$"):
        require("frugalseg_has_no_such_library", extra=None)
