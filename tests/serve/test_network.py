"""The network that ships: opened by the same code as any other."""

import pytest

from frugalseg.serve.service import NETWORK, open_service
from frugalseg.serve.settings import Settings


@pytest.mark.skipif(not NETWORK.is_dir(), reason="this installation has no network of its own")
def test_without_an_artifact_the_network_that_ships_is_served() -> None:
    [model] = open_service(Settings(workers=1), []).shelf.models
    assert model.file.bytes < 1_000_000
    assert model.manifest.files[0].scores
