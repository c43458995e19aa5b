"""Which studies ship with the package."""

from dataclasses import dataclass

from frugalseg.workflows.study_file import load_study, study_names


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """A study in a line: its name, how many runs it has over all seeds, and what it is for."""

    name: str
    runs: int
    about: str


def study_list() -> list[StudySummary]:
    """List the studies that can be named without a file."""
    studies = [load_study(name) for name in study_names()]
    return [StudySummary(name=s.name, runs=len(s.jobs()), about=s.about) for s in studies]
