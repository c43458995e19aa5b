import json

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.models.catalog import Architecture


def test_an_unknown_network_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="no model 'frugal-net'; did you mean 'frugalnet'"):
        Architecture(name="frugal-net", settings={"num_classes": 2}).build()


def test_the_number_of_classes_must_be_given() -> None:
    with pytest.raises(ConfigError, match="num_classes must be 1 to 256, got None"):
        Architecture(name="enet", settings={}).build()


def test_a_setting_of_the_wrong_type_is_a_mistake_of_the_user() -> None:
    for settings in ({"depth": "2"}, {"width": [1]}):
        with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be"):
            Architecture(name="frugalnet", settings={"num_classes": 2, **settings}).build()


def test_an_architecture_is_data() -> None:
    first = Architecture(name="frugalnet", settings={"num_classes": 2, "width": 0.25, "depth": 1})
    again = Architecture(**json.loads(json.dumps(first.to_dict())))
    assert again == first
    assert again.build().state_dict().keys() == first.build().state_dict().keys()
