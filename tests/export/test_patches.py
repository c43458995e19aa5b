import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from frugalseg.core.errors import ArtifactError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.tflite import PLACES, read_tflite
from frugalseg.cost.tflm import arena
from frugalseg.export.flatbuffer import read_model, write_model
from frugalseg.export.ids import with_ids
from frugalseg.export.litert_int8 import export_litert_int8
from frugalseg.export.patches import patch
from frugalseg.models.network import Network

SIZES = ("96x128", "97x131")
GOLDEN = Path(__file__).parents[1] / "golden" / "artifact" / "model.int8.tflite"


def results(path: Path, *, reference: bool) -> Any:
    """What a file makes of noise and of a smooth picture."""
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(str(path), experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    height, width = taken["shape"][1:3]
    noise = np.random.default_rng(1).integers(-128, 128, (1, height, width, 3), np.int8)
    slope = np.add.outer(np.arange(height), np.arange(width)) % 256 - 128
    out = []
    for pixels in (noise, np.repeat(slope.astype(np.int8)[None, :, :, None], 3, 3)):
        interpreter.set_tensor(taken["index"], pixels)
        interpreter.invoke()
        out.append(interpreter.get_tensor(given["index"]).copy())
    return np.stack(out)


@pytest.fixture(scope="module")
def files(once: Any, untrained: Callable[..., Network]) -> Path:
    """A frugalnet at an even and an odd size."""

    def make(folder: Path) -> None:
        for size in SIZES:
            spec = InputSpec.parse(size)
            noise = np.random.default_rng(0).integers(0, 256, (*spec.size, 3), np.uint8)
            path = folder / f"{size}.tflite"
            export_litert_int8(untrained(width=0.5), spec, path, pictures=[noise])

    folder: Path = once("patches", make)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ids", [False, True])
class TestPatchedFile:
    @pytest.fixture
    def pair(self, files: Path, size: str, ids: bool, tmp_path: Path) -> tuple[Path, Path]:
        before, after = tmp_path / "before.tflite", tmp_path / "after.tflite"
        shutil.copy(files / f"{size}.tflite", before)
        if ids:
            with_ids(before)
        shutil.copy(before, after)
        return before, after

    @pytest.mark.parametrize("reference", [True, False])
    def test_it_computes_the_same_to_the_bit(
        self, pair: tuple[Path, Path], ids: bool, reference: bool
    ) -> None:
        before, after = pair
        assert patch(after, more_macs=1).parts
        expected = results(before, reference=reference)
        assert ids or len(np.unique(expected)) > 50  # untrained, it sees one class everywhere
        assert (results(after, reference=reference) == expected).all()

    def test_it_needs_less_and_says_so(self, pair: tuple[Path, Path]) -> None:
        before, after = pair
        report = patch(after)
        graph = read_tflite(after, views=False)
        assert report.arena_bytes == arena(graph).total_bytes < report.arena_bytes_before
        assert report.macs == graph.macs
        assert 0 <= report.more_macs <= 0.15
        assert (report.file_bytes_before, report.file_bytes) == (
            before.stat().st_size, after.stat().st_size,
        )  # fmt: skip
        assert report.file_bytes < 1.2 * report.file_bytes_before

    def test_weights_are_stored_once(self, pair: tuple[Path, Path]) -> None:
        before, after = pair
        patch(after)
        stored = [read_tflite(path, views=False).stored for path in pair]
        assert stored[1]["int8"] == stored[0]["int8"]
        assert read_tflite(before).params == pytest.approx(read_tflite(after).params, abs=200)


class TestWhatIsLeft:
    def test_a_file_within_the_limit_is_not_touched(self, tmp_path: Path) -> None:
        path = tmp_path / "net.tflite"
        shutil.copy(GOLDEN, path)
        report = patch(path, ram_bytes=10**6)
        assert report.reason == "its 27,152 bytes are within 1,000,000"
        assert path.read_bytes() == GOLDEN.read_bytes()

    def test_a_file_is_patched_once(self, tmp_path: Path) -> None:
        path = tmp_path / "net.tflite"
        shutil.copy(GOLDEN, path)
        with_ids(path)
        assert patch(path).parts
        done = path.read_bytes()
        assert PLACES.encode() in done
        report = patch(path)
        assert (report.parts, report.reason) == ((), "it was patched before")
        assert path.read_bytes() == done

    def test_places_for_another_number_of_tensors_are_damage(self, tmp_path: Path) -> None:
        path = tmp_path / "net.tflite"
        shutil.copy(GOLDEN, path)
        with_ids(path)
        patch(path)
        model = read_model(path)
        places = next(m for m in model.metadata if m.name == PLACES.encode())
        model.buffers[places.buffer].data = model.buffers[places.buffer].data[:-4]
        write_model(model, path)
        with pytest.raises(ArtifactError, match=r"it places .* tensors, but has"):
            patch(path)

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "net.tflite"
        path.write_bytes(b"something else")
        with pytest.raises(ArtifactError, match=r"not a \.tflite file"):
            patch(path)


def test_places_alone_may_do(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    shutil.copy(GOLDEN, path)
    with_ids(path)
    before = results(path, reference=True)
    least = arena(read_tflite(path, views=False)).total_bytes
    report = patch(path, more_macs=0)
    assert report.macs == report.macs_before
    assert report.arena_bytes < least
    assert (results(path, reference=True) == before).all()


def test_a_limit_is_kept_with_fewer_bands_than_the_least_memory_takes(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("least", "enough")]
    for path in paths:
        shutil.copy(GOLDEN, path)
        with_ids(path)
    least = patch(paths[0])
    enough = patch(paths[1], ram_bytes=(least.arena_bytes + least.arena_bytes_before) // 2)
    assert least.arena_bytes <= enough.arena_bytes < enough.arena_bytes_before
    assert sum(p.bands for p in enough.parts) < sum(p.bands for p in least.parts)
