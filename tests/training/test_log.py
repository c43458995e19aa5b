from pathlib import Path

from frugalseg.training.log import RunLog, read_log


def test_rows_and_empty_fields(tmp_path: Path) -> None:
    with RunLog(tmp_path, from_step=0) as rows:
        rows.add(step=1, progress=0.5, loss=2.0)
        rows.add(step=2, progress=1.0, miou=0.25, pixel_accuracy=None)
    assert read_log(tmp_path / "metrics.csv") == [
        {"step": 1, "progress": 0.5, "loss": 2.0},
        {"step": 2, "progress": 1.0, "miou": 0.25},
    ]
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_resumed_run_drops_what_it_will_redo(tmp_path: Path) -> None:
    with RunLog(tmp_path, from_step=0) as rows:
        for step in (1, 2, 3):
            rows.add(step=step, loss=9.0)
    with RunLog(tmp_path, from_step=2) as rows:
        rows.add(step=3, loss=1.0)
    found = [(row["step"], row["loss"]) for row in read_log(tmp_path / "metrics.csv")]
    assert found == [(1, 9), (2, 9), (3, 1)]


def test_a_line_that_was_cut_off_is_dropped_wherever_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with RunLog(tmp_path, from_step=0) as rows:
        rows.add(step=1, progress=0.5, elapsed_s=1, lr=1e-3, loss=2.0)
        rows.add(step=2, progress=1.0, elapsed_s=2, miou=0.25, pixel_accuracy=1.25e-5)
    whole = path.read_bytes()
    first_two = whole.splitlines(keepends=True)[:2]
    for end in range(len(b"".join(first_two)), len(whole)):
        path.write_bytes(whole[:end])
        assert [row["step"] for row in read_log(path)] == [1], whole[:end]


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert read_log(tmp_path / "metrics.csv") == []
