"""The ResNet of torchvision as the way down of a U-Net (He et al. 2016), without its classifier.

Its layers keep torchvision's names, so weights that were made for them fit by name.

Shapes: B items, H × W pixels.
"""

from collections.abc import Iterator

from torch import Tensor, nn

WIDTHS = (64, 64, 128, 256, 512)
"""Channels of the levels: the first convolution, then layer1 to layer4; each has half the pixels of the one before."""
MEAN, SD = 0.449, 0.226
"""Of ImageNet's pixels in [0, 1], each the mean over its three colours; the channels of an MRI slice are no colours."""


class ResNet(nn.Module):
    """The first `levels` levels of a ResNet; what lies below them is left out."""

    def __init__(self, name: str, levels: int) -> None:
        from torchvision.models import get_model  # more than a second, which other networks need not wait

        super().__init__()
        whole = get_model(name, weights=None)
        self.conv1, self.bn1, self.relu = whole.conv1, whole.bn1, whole.relu  # 7×7, stride 2
        self.maxpool = whole.maxpool  # stride 2
        self.levels = levels
        for number in range(1, levels):
            self.add_module(f"layer{number}", whole.get_submodule(f"layer{number}"))

    def forward(self, images: Tensor) -> list[Tensor]:
        """From images (B 3 H W, scaled to [0, 1]) to what each level holds: B WIDTHS[k] H/2^(k+1) W/2^(k+1)."""
        levels = [self.relu(self.bn1(self.conv1((images - MEAN) / SD)))]
        for layer in self._layers():
            levels.append(layer(self.maxpool(levels[0]) if len(levels) == 1 else levels[-1]))
        return levels

    def _layers(self) -> Iterator[nn.Module]:
        return (self.get_submodule(f"layer{number}") for number in range(1, self.levels))
