from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from frugalseg.core.errors import ConfigError
from frugalseg.core.inputs import InputSpec
from frugalseg.export.litert_int8 import export_litert_int8, share_ranges, widen_empty
from frugalseg.models.layers import resize
from frugalseg.models.network import Network
from frugalseg.trace import trace
from frugalseg.training.batches import normalise
from frugalseg.training.quantise import Int8, Quantiser
from frugalseg.training.smaller import Quantize
from frugalseg.training.validation import network_scores

Operators = Callable[[Path], Counter[str]]
Once = Callable[[str, Callable[[Path], object]], Path]
SPEC = InputSpec(height=48, width=64)
FRUGAL = {"CONV_2D", "ADD", "RESIZE_BILINEAR", "MEAN"}


def pictures(spec: InputSpec, count: int = 2) -> list[Any]:
    noise = np.random.default_rng(0)
    return [noise.integers(0, 256, (*spec.size, spec.channels), np.uint8) for _ in range(count)]


def opened(path: Path) -> Any:
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    return interpreter


def test_an_int8_input_is_the_pixel_minus_128(artifact: Path) -> None:
    source = opened(artifact / "model.int8.tflite").get_input_details()[0]
    assert source["dtype"] == np.int8
    assert source["quantization"] == (1 / 64, 0)
    assert source["shape"].tolist() == [1, 48, 64, 3]


def test_weights_are_per_channel_and_symmetric(artifact: Path) -> None:
    interpreter = opened(artifact / "model.int8.tflite")
    weights = [t for t in interpreter.get_tensor_details() if len(t["shape"]) == 4]
    per_channel = [
        t["quantization_parameters"]
        for t in weights
        if len(t["quantization_parameters"]["scales"]) > 1
    ]
    assert len(per_channel) == 33  # each convolution of a frugalnet of depth 1
    for told in per_channel:
        assert len(set(told["scales"].tolist())) > 1
        assert not told["zero_points"].any()


def test_everything_is_integer(artifact: Path) -> None:
    interpreter = opened(artifact / "model.int8.tflite")
    assert {np.dtype(t["dtype"]).kind for t in interpreter.get_tensor_details()} == {"i"}


def test_an_even_size_needs_no_copies(artifact: Path, operators: Operators) -> None:
    assert operators(artifact / "model.int8.tflite").keys() == FRUGAL


@pytest.mark.parametrize("size", ["45x61", "45x64"])
def test_odd_and_mixed_sizes_need_no_copies_either(
    size: str, tmp_path: Path, operators: Operators, untrained: Callable[..., Network]
) -> None:
    spec, path = InputSpec.parse(size), tmp_path / "model.tflite"
    export_litert_int8(untrained(), spec, path, pictures=pictures(spec))
    assert operators(path).keys() == FRUGAL


@pytest.fixture(scope="module")
def wide(once: Once, untrained: Callable[..., Network]) -> tuple[Network, Path]:
    """A network of many weights, and its file, calibrated on one picture."""
    torch.manual_seed(0)
    network = untrained(width=1.0)

    def make(folder: Path) -> None:
        export_litert_int8(network, SPEC, folder / "model.tflite", pictures=pictures(SPEC, 1))

    return network, once("wide", make) / "model.tflite"


@pytest.mark.slow
def test_a_network_of_many_weights_is_whole(wide: tuple[Network, Path]) -> None:
    """From 256 KiB on, the quantiser puts weights behind the flatbuffer."""
    network, path = wide
    [picture] = pictures(SPEC, 1)
    assert path.stat().st_size > 256 * 1024
    assert _correlation(network, SPEC, path, picture) > 0.95


def bare_model(*ops: tuple[str, str, str]) -> Any:
    """Build what `share_ranges` looks at; tensors are named by letters, "a" is the input."""
    from ai_edge_litert import schema_py_generated as schema

    names = sorted({name for _, reads, writes in ops for name in reads + writes})
    graph = SimpleNamespace(
        tensors=[SimpleNamespace(name=name.encode()) for name in names],
        inputs=[names.index("a")],
        operators=[
            SimpleNamespace(
                opcodeIndex=i,
                inputs=[names.index(name) for name in reads],
                outputs=[names.index(name) for name in writes],
            )
            for i, (_, reads, writes) in enumerate(ops)
        ],
    )
    codes = [getattr(schema.BuiltinOperator, kind) for kind, _, _ in ops]
    return SimpleNamespace(
        subgraphs=[graph],
        operatorCodes=[SimpleNamespace(builtinCode=c, deprecatedBuiltinCode=0) for c in codes],
    )


def shared(*ops: tuple[str, str, str]) -> dict[str, tuple[float, float]]:
    """Share ranges of (-n, n), where n is the place of a tensor's name in the alphabet."""
    names = {name for _, reads, writes in ops for name in reads + writes}
    width = {name: float(ord(name) - ord("a") + 1) for name in names}
    ranges = {n: {"min": np.array([-w]), "max": np.array([w])} for n, w in width.items()}
    share_ranges(ranges, bare_model(*ops))
    return {n: (float(r["min"][0]), float(r["max"][0])) for n, r in ranges.items()}


class TestSharedRanges:
    def test_what_is_joined_and_the_result_get_the_widest_range(self) -> None:
        found = shared(
            ("CONV_2D", "a", "b"), ("CONV_2D", "a", "d"), ("CONCATENATION", "bd", "c"),
            ("CONV_2D", "c", "z"),
        )  # fmt: skip
        assert {found[n] for n in "bcd"} == {(-4.0, 4.0)}
        assert (found["a"], found["z"]) == ((-1.0, 1.0), (-26.0, 26.0))

    def test_through_what_keeps_the_scale_and_through_chains_of_joins(self) -> None:
        found = shared(
            ("CONV_2D", "a", "b"), ("RESIZE_BILINEAR", "b", "c"), ("CONV_2D", "a", "d"),
            ("CONCATENATION", "cd", "e"), ("CONV_2D", "e", "y"), ("CONCATENATION", "ed", "f"),
        )  # fmt: skip
        assert {found[n] for n in "bcdef"} == {(-6.0, 6.0)}
        assert found["y"] == (-25.0, 25.0)

    def test_a_map_that_others_read_as_well_is_widened_for_them_too(self) -> None:
        found = shared(
            ("CONV_2D", "a", "b"), ("CONV_2D", "b", "c"), ("CONCATENATION", "bc", "d"),
            ("MAX_POOL_2D", "b", "e"),
        )  # fmt: skip
        assert {found[n] for n in "bcde"} == {(-5.0, 5.0)}

    @pytest.mark.parametrize("kind", ["LOGISTIC", "SOFTMAX", "TANH"])
    def test_a_scale_of_its_own_is_left_alone_and_what_is_tied_to_it(self, kind: str) -> None:
        found = shared(
            ("MAX_POOL_2D", "a", "b"), (kind, "a", "c"), ("PAD", "c", "d"), ("CONV_2D", "a", "e"),
            ("CONCATENATION", "bde", "f"),
        )  # fmt: skip
        assert [found[n][1] for n in "abcdef"] == [1, 2, 3, 4, 6, 6]

    def test_without_a_join_nothing_changes(self) -> None:
        found = shared(("CONV_2D", "a", "b"), ("MAX_POOL_2D", "b", "c"), ("ADD", "bb", "d"))
        assert [found[n][1] for n in "abcd"] == [1, 2, 3, 4]


class Joining(Network):
    """Joins a map that others read with one that was resized."""

    channels = num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down, self.mix = (
            torch.nn.Conv2d(3, 8, 1),
            torch.nn.Conv2d(8, 8, 2, stride=2),
            torch.nn.Conv2d(16, 3, 1),
        )

    def native(self, image_NCHW: torch.Tensor) -> torch.Tensor:
        fine = torch.relu(self.first(image_NCHW))
        coarse = resize(self.down(fine) * 3, fine.shape[-2:])
        out: torch.Tensor = self.mix(torch.cat([coarse, fine], 1))
        return out


@pytest.mark.slow
def test_a_join_needs_no_quantize_and_the_scores_stay(tmp_path: Path, operators: Operators) -> None:
    torch.manual_seed(0)
    spec, path, network = InputSpec(height=16, width=24), tmp_path / "m.tflite", Joining().eval()
    some = pictures(spec)
    export_litert_int8(network, spec, path, pictures=some)
    assert operators(path)["CONCATENATION"] == 1
    assert "QUANTIZE" not in operators(path)
    assert [op.kind for op in trace(network, spec).ops].count("quantize") == 0
    assert _correlation(network, spec, path, some[0]) > 0.99


class Asleep(Network):
    """Adds a branch whose ReLU lets nothing through."""

    channels = num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = (torch.nn.Conv2d(3, 3, 1) for _ in range(3))
        torch.nn.init.constant_(self.inner.bias, -1e3)  # type: ignore[arg-type]

    def native(self, image_NCHW: torch.Tensor) -> torch.Tensor:
        first = self.first(image_NCHW)
        out: torch.Tensor = first + self.last(torch.relu(self.inner(first)))
        return out


@pytest.mark.slow
def test_a_map_that_no_picture_wakes_does_not_spoil_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec, path, network = InputSpec(height=16, width=24), tmp_path / "m.tflite", Asleep().eval()
    some = pictures(spec)
    export_litert_int8(network, spec, path, pictures=some)
    assert _correlation(network, spec, path, some[0]) > 0.99


def test_only_maps_that_are_next_to_zero_everywhere_get_a_range() -> None:
    bounds = {"dead": (0, 0), "faint": (-1e-9, 1e-9), "small": (0, 1e-5), "below": (-3, -2)}
    ranges = {
        n: {"min": np.array([a], np.float32), "max": np.array([b], np.float32)}
        for n, (a, b) in bounds.items()
    }
    widen_empty(ranges)
    found = {name: float(both["max"][0]) for name, both in ranges.items()}
    assert found == pytest.approx({"dead": 1, "faint": 1, "small": 1e-5, "below": -2})
    assert all(both["max"].dtype == np.float32 for both in ranges.values())


def test_without_pictures_there_is_nothing_to_calibrate_on(
    tmp_path: Path, untrained: Callable[..., Network]
) -> None:
    spec = InputSpec(height=48, width=64)
    with pytest.raises(ConfigError, match="at least one calibration picture"):
        export_litert_int8(untrained(), spec, tmp_path / "model.tflite", pictures=[])
    assert list(tmp_path.iterdir()) == []


def test_training_imitates_the_file(wide: tuple[Network, Path]) -> None:
    """It errs as much as the file does, and in the same places; engines differ from each other."""
    network, path = wide
    [picture] = pictures(SPEC, 1)
    quantiser = Quantiser(Quantize(name="qat"), network, SPEC)
    image_NCHW = normalise(torch.from_numpy(picture).permute(2, 0, 1)[None], SPEC)
    with quantiser.on(network, learn=True), torch.no_grad():
        network.native(image_NCHW)
    expected = network_scores(network, SPEC, picture)
    imitated = network_scores(Int8(network, quantiser), SPEC, picture) - expected
    real = _scores(path, picture) - expected
    assert float(imitated.std()) == pytest.approx(float(real.std()), rel=0.4)
    assert np.corrcoef(imitated.ravel(), real.ravel())[0, 1] > 0.1


def _scores(path: Path, picture_HWC: Any) -> Any:
    interpreter = opened(path)
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(source["index"], (picture_HWC ^ 0x80).view(np.int8)[None])
    interpreter.invoke()
    scale, zero = target["quantization"]
    return (interpreter.get_tensor(target["index"])[0].astype(np.float64) - zero) * scale


def _correlation(network: Network, spec: InputSpec, path: Path, picture_HWC: Any) -> float:
    expected = network_scores(network, spec, picture_HWC)
    return float(np.corrcoef(_scores(path, picture_HWC).ravel(), expected.ravel())[0, 1])
