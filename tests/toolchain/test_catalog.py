import re
from typing import get_args

import pytest

from frugalseg.core.errors import ConfigError
from frugalseg.cost.device import Device
from frugalseg.toolchain.catalog import TOOLCHAINS, toolchain

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}$")


@pytest.mark.parametrize("name", sorted(TOOLCHAINS))
class TestEveryToolchain:
    def test_each_package_is_pinned_with_a_hash(self, name: str) -> None:
        text = re.sub(r"^#.*\n", "", TOOLCHAINS[name].lock, flags=re.MULTILINE)
        for requirement in text.replace("\\\n", " ").splitlines():
            pin, *hashes = requirement.split()
            assert re.fullmatch(r"[\w.-]+==[\w.]+", pin)
            assert hashes
            assert all(map(HASH.match, hashes)), requirement

    def test_its_own_package_is_pinned(self, name: str) -> None:
        assert TOOLCHAINS[name].version

    def test_it_is_called_by_its_name(self, name: str) -> None:
        assert toolchain(name).name == name


def test_those_that_a_device_can_name_are_there() -> None:
    named = Device.model_fields["toolchain"].annotation
    assert {n for part in get_args(named) for n in get_args(part)} == {*TOOLCHAINS}


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="no toolchain 'tfml'; did you mean 'tflm'"):
        toolchain("tfml")
