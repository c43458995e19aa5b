from pathlib import Path

import pytest
import yaml

from frugalseg.core.errors import ConfigError
from frugalseg.training.recipe import (
    Length,
    Recipe,
    load_recipe,
    recipe_from,
    recipe_names,
    seconds,
    with_time,
)


def test_there_are_recipes() -> None:
    assert {"default", "demo", "enet"} <= {*recipe_names()}


@pytest.mark.parametrize("name", recipe_names())
class TestShippedRecipes:
    def test_each_survives_a_round_trip_through_yaml(self, name: str, tmp_path: Path) -> None:
        recipe = load_recipe(name)
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
        assert load_recipe(path) == recipe

    def test_each_names_a_network_and_a_loss_that_exist(self, name: str) -> None:
        from frugalseg.losses.catalog import LOSSES
        from frugalseg.models.catalog import Architecture

        recipe = load_recipe(name)
        assert recipe.loss.name in LOSSES
        Architecture(
            name=recipe.model.name, settings={"num_classes": 3, **recipe.model.settings}
        ).build()


class TestMistakes:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"optimiser": {}}, "unknown key 'optimiser', did you mean 'optimizer'?"),
            ({"optimizer": {"beta": 1}}, "'optimizer.beta', did you mean 'betas'?"),
            (
                {"augment": {"zzz": 1}},
                "unknown key 'augment.zzz'. Known here: blur, classmix, color, ",
            ),
            ({"batch_size": 1}, "batch_size: .* greater than or equal to 2 .got 1."),
            ({"length": {"steps": 3, "epochs": 2}}, "length: give one of steps, epochs, time"),
            ({"length": {}}, "length: give one of steps, epochs, time; got none"),
            ({"length": {"time": "soon"}}, "length.time: time 'soon' is not a duration"),
            ({"length": {"time": float("inf")}}, "length.time: "),
            ({"input": "10by20"}, "input: size '10by20' is not HEIGHTxWIDTH"),
            ({"input": "8x8"}, "input: height must be 16 to 8192 px"),
            ({"augment": {"crop": "big"}}, "augment.crop: size 'big' is not HEIGHTxWIDTH"),
            ({"augment": {"scale": [2.0, 0.5]}}, "scale must be .low, high."),
            ({"optimizer": {"lr": float("nan")}}, "optimizer.lr: "),
            ({"schedule": {"name": "cosine"}}, "schedule.name: .*'onecycle' or 'poly'"),
            ({"seed": 2**40}, "seed: "),
            ({"loss": {"plus": {"cross_entropy": 1}}}, "'cross_entropy' is the loss already"),
            ({"loss": {"plus": {"dice": 0}}}, "loss.plus.dice: .* greater than 0"),
            ({"loss": {"class_weights": "median"}}, "loss.class_weights: "),
            ({"sampling": {"name": "rare"}}, "sampling.name: .*'repeat_factor'"),
            ({"sampling": {"rare_crop": 1}}, "'sampling.rare_crop', did you mean 'rare_crops'"),
            ({"augment": {"rotate": 200}}, "augment.rotate: "),
            ({"augment": {"cutmix": 0.6, "classmix": 0.6}}, "augment: cutmix and classmix are "),
        ],
    )
    def test_each_is_told_with_its_place(self, values: dict[str, object], message: str) -> None:
        with pytest.raises(ConfigError, match=f"the recipe is wrong: .*{message}"):
            recipe_from(values)

    def test_all_are_told_at_once(self) -> None:
        with pytest.raises(ConfigError) as caught:
            recipe_from({"bach_size": 4, "input": "x", "average": 2, "loss": {"stride": 0}})
        text = str(caught.value)
        assert all(word in text for word in ("bach_size", "input", "average", "loss.stride"))

    @pytest.mark.parametrize("text", ["[1, 2]", "just words", "{a: ", "\x00"])
    def test_a_file_that_is_no_recipe(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "wrong.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"wrong\.yaml"):
            load_recipe(path)

    def test_a_name_or_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no recipe 'defualt'; did you mean 'default'"):
            load_recipe("defualt")
        with pytest.raises(ConfigError, match="cannot read the recipe"):
            load_recipe(tmp_path / "none.yaml")

    def test_an_empty_file_is_the_recipe_of_defaults(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.yaml"
        path.write_text("# nothing\n", encoding="utf-8")
        assert load_recipe(path) == Recipe()


class TestOverrides:
    def test_numbers_as_people_write_them(self) -> None:
        recipe = load_recipe("default", ["optimizer.lr=2e-3", "batch_size=4", "average=0.9"])
        assert (recipe.optimizer.lr, recipe.batch_size, recipe.average) == (0.002, 4, 0.9)

    def test_lists_and_sizes(self) -> None:
        recipe = load_recipe("default", ["augment.scale=[0.8, 1.2]", "input=64X96"])
        assert (recipe.augment.scale, recipe.input) == ((0.8, 1.2), "64x96")
        assert load_recipe("default", ["input=64"]).input == "64x64"
        assert load_recipe("demo", ["input=null"]).input is None

    def test_settings_of_the_network_keep_their_neighbours(self) -> None:
        recipe = load_recipe("default", ["model.settings.depth=2", "model.settings.width=0.5"])
        assert recipe.model.settings == {"width": 0.5, "depth": 2}

    def test_a_number_without_a_dot_is_one_for_the_network_too(self) -> None:
        recipe = load_recipe("default", ["model.settings.width=5e-1"])
        assert recipe.model.settings["width"] == 0.5

    def test_losses_are_added_one_by_one_or_together(self) -> None:
        for settings in (["loss.plus={dice: 0.5, lovasz: 1}"], ["loss.plus.lovasz=1"]):
            recipe = load_recipe("default", [*settings, "loss.plus.dice=5e-1"])
            assert recipe.loss.plus == {"dice": 0.5, "lovasz": 1}

    def test_a_length_replaces_the_other(self) -> None:
        assert load_recipe("default", ["length.time=30m"]).length == Length(time=1800)
        assert load_recipe("demo", ["length.steps=7"]).length == Length(steps=7)
        last = load_recipe("default", ["length.steps=7", "length.epochs=2.5"])
        assert last.length == Length(epochs=2.5)

    def test_the_last_one_wins(self) -> None:
        assert load_recipe("default", ["seed=1", "seed=2"]).seed == 2

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("optimizer.lr", "--set takes KEY=VALUE"),
            ("=3", "--set takes KEY=VALUE"),
            ("model.name.first=3", "'name' has no keys below it"),
            ("optimizer.lr=[", "not a value: line 1, column 2: "),
            ("workers=x", r"wrong: workers: .*\(got 'x'\); workers: Input should be 'auto'"),
            ("seed=2026-99-99", "not a value: month must be"),
            (f"seed={'9' * 5000}", "not a value: a number of thousands of digits"),
            ("optimizer.rate=3", "unknown key 'optimizer.rate'"),
        ],
    )
    def test_mistakes(self, setting: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            load_recipe("default", [setting])

    def test_a_time_given_apart(self) -> None:
        assert with_time(load_recipe("default"), "1h30m").length == Length(time=5400)
        assert with_time(load_recipe("default"), 90).length == Length(time=90)
        with pytest.raises(ConfigError, match=r"length\.time"):
            with_time(load_recipe("default"), -1)


@pytest.mark.parametrize("text", ["", "m", "5 weeks", "-3m", "3m!", "1.5.2s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a duration such as"):
        seconds(text)


def test_durations() -> None:
    assert [seconds(t) for t in ("90s", "1.5h", "2 m", "1h 2m 3s")] == [90, 5400, 120, 3723]


def test_a_recipe_that_was_stored_before_there_was_sampling_still_means_the_same() -> None:
    stored = yaml.safe_load(
        """
        augment: {color: 0.3, crop: null, flip: 0.5, scale: [0.5, 2.0]}
        average: 0.998
        batch_size: 8
        compile: false
        input: null
        length: {epochs: 200.0, steps: null, time: null}
        loss: {auxiliary: 0.4, boundary: 1.0, class_weights: frequency, frequency_power: 0.3,
               name: cross_entropy, near_boundary: 0.0, shrink_labels: false, stride: 2}
        model: {name: frugalnet, settings: {}}
        optimizer: {betas: [0.9, 0.999], lr: 0.002, weight_decay: 0.02}
        precision: auto
        schedule: {name: onecycle, power: 0.9, warmup: 0.1}
        seed: 0
        start: null
        validations: 20
        workers: 0
        """
    )
    recipe = recipe_from(stored)
    assert recipe == load_recipe("default", ["workers=0"])  # of the same effect as any
    assert recipe.sampling.name == "each"
    off = recipe.augment.model_dump(exclude={"scale", "crop", "flip", "color"})
    assert set(off.values()) == {0}
