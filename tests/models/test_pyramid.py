import pytest
import torch
from torch import Tensor

from frugalseg.models.pyramid import WINDOWS, average_pool


def means(x_HW: Tensor, kernel: int, stride: int) -> list[list[float]]:
    """Means of the pixels that are there, in windows that lie as TensorFlow's SAME puts them."""
    spans = []
    for side in x_HW.shape:
        count = -(-side // stride)
        before = max((count - 1) * stride + kernel - side, 0) // 2
        starts = [i * stride - before for i in range(count)]
        spans.append([(max(0, a), min(side, a + kernel)) for a in starts])
    return [[float(x_HW[a:b, c:d].mean()) for c, d in spans[1]] for a, b in spans[0]]


@pytest.mark.parametrize(("kernel", "stride"), [*WINDOWS, (3, 2)])
def test_what_lies_outside_of_the_map_does_not_count(kernel: int, stride: int) -> None:
    noise = torch.Generator().manual_seed(0)
    for size in [(k, k) for k in range(1, 20)] + [(3, 17), (16, 5), (kernel, 2 * kernel)]:
        x_HW = torch.rand(size, generator=noise)
        found = average_pool(x_HW[None, None], kernel, stride)[0, 0]
        torch.testing.assert_close(found, torch.tensor(means(x_HW, kernel, stride)))
