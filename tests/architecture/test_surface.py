"""The public names are recorded, so that a removal shows as a red line in a diff.

After a wanted change, `make record` writes the list anew.
"""

import inspect
from pathlib import Path

import pytest

import frugalseg
from frugalseg.core.errors import MissingExtraError

RECORDED = Path(__file__).with_name("surface.txt")


def test_the_public_names_are_those_recorded() -> None:
    assert surface() == RECORDED.read_text(encoding="utf-8").splitlines()


def test_the_public_names_are_sorted() -> None:
    assert frugalseg.__all__ == sorted(frugalseg.__all__)


@pytest.mark.parametrize("name", frugalseg.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(frugalseg, name)
    if name != "__version__":
        assert callable(value)
        assert inspect.getdoc(value)


def test_a_function_is_not_hidden_by_the_package_of_its_name() -> None:
    import frugalseg.export.catalog

    assert inspect.isfunction(frugalseg.export)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        _ = frugalseg.fitt


def test_a_public_name_whose_library_is_missing_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_a_library.py").write_text("import library_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(frugalseg._HOMES, "fit", "needs_a_library")
    with pytest.raises(MissingExtraError, match=r"fit needs library_that_is_not_there.*\[all\]"):
        _ = frugalseg.fit


def surface() -> list[str]:
    """Each public name, functions with the names of their arguments."""
    lines = []
    for name in frugalseg.__all__:
        value = getattr(frugalseg, name)
        arguments = list(inspect.signature(value).parameters) if inspect.isfunction(value) else []
        lines.append(f"{name}({', '.join(arguments)})" if arguments else name)
    return lines


if __name__ == "__main__":
    RECORDED.write_text("\n".join(surface()) + "\n", encoding="utf-8")
