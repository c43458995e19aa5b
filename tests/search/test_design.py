import pytest

from frugalseg.core.errors import ConfigError, OverBudgetError
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.device import Device, InputLimits, Limits, load_device
from frugalseg.search.design import ENOUGH_PARAMS, design
from frugalseg.search.sizes import sizes_from

LARGEST = InputSpec(height=96, width=128)


def device(least: str | None = None, **limits: int) -> Device:
    return Device(
        name="board", title="A board", runtime="litert", memory="separate",
        budget=Limits(**limits), input=InputLimits(least=least),
    )  # fmt: skip


def test_a_size_that_gives_room_for_enough_is_not_made_smaller() -> None:
    board = device(ram_bytes=1_200_000)
    choice = design(board, sizes_from(LARGEST, board), 5)
    assert choice.input == LARGEST
    assert choice.params >= ENOUGH_PARAMS


def test_a_smaller_size_is_taken_where_only_it_gives_room() -> None:
    board = device(ram_bytes=800_000)
    choice = design(board, sizes_from(LARGEST, board), 5)
    assert choice.input.height < LARGEST.height
    assert choice.params >= ENOUGH_PARAMS
    assert choice.footprint.ram_bytes <= 800_000


def test_where_no_size_gives_room_for_enough_the_largest_network_is_taken() -> None:
    board = device(storage_bytes=60_000)
    choice = design(board, sizes_from(LARGEST, board), 5)
    assert choice.params < ENOUGH_PARAMS
    assert choice.input == LARGEST


def test_a_smaller_size_that_the_device_does_not_take_is_passed_over() -> None:
    board = load_device("imx500").model_copy(update={"limits": Limits(total_bytes=130_000)})
    small = InputSpec(height=64, width=96)  # dilations are larger than its maps there
    with pytest.raises(ConfigError, match="takes no dilation of 8 on a map of 4x6"):
        design(board, [small], 5)
    with pytest.raises(OverBudgetError, match="no frugalnet fits imx500 at 128x160"):
        design(board, [InputSpec(height=128, width=160), small], 5)


def test_a_microcontroller_is_given_a_network_in_bands_before_a_smaller_picture() -> None:
    board = load_device("mcu-256k").model_copy(update={"limits": Limits(total_bytes=255_000)})
    choice = design(board, sizes_from(LARGEST, board), 5)
    assert (choice.input, choice.in_bands) == (LARGEST, True)
    assert choice.params >= ENOUGH_PARAMS
    assert choice.footprint.total_bytes <= board.design_budget.total_bytes  # type: ignore[operator]


def test_where_nothing_fits_the_message_is_that_of_the_first_size() -> None:
    with pytest.raises(OverBudgetError, match="no frugalnet fits board at 96x128"):
        design(device(storage_bytes=2_000), [LARGEST], 5)


def test_sizes_keep_to_the_least_that_the_device_takes() -> None:
    assert [str(s) for s in sizes_from(LARGEST, device("64x64"))] == ["96x128", "80x104", "64x88"]
