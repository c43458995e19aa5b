"""How a network that was trained already is trained on."""

from typing import Any

from frugalseg.training.recipe import Recipe, recipe_from

RATE = 0.5  # of the learning rate of the first training
SHARE = 0.25  # of its length


def fine_tuning(before: Recipe) -> Recipe:
    """Return a recipe a quarter as long at half the rate, without what was particular before.

    That is: start, teacher, sparsity, low rank and quantisation.

    >>> recipe = fine_tuning(Recipe(length={"epochs": 8}, sparsity={"name": "cap"}))
    >>> recipe.length.epochs, recipe.sparsity.name
    (2.0, 'none')
    """
    plain: dict[str, Any] = {"teacher": {}, "sparsity": {}, "low_rank": {}, "quantize": {}}
    optimizer = before.optimizer.model_dump() | {"lr": RATE * before.optimizer.lr}
    values = plain | {"start": None, "compile": False, "optimizer": optimizer}
    return shorter(recipe_from(before.model_dump() | values), SHARE)


def shorter(recipe: Recipe, share: float) -> Recipe:
    """Return a recipe of a share of the length."""
    length = {key: value and value * share for key, value in recipe.length.model_dump().items()}
    if length["steps"]:
        length["steps"] = max(1, int(length["steps"]))
    return recipe_from(recipe.model_dump() | {"length": length})
