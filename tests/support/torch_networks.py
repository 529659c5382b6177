"""Residual networks in PyTorch with the names of torchvision and of akamaster, to compare logits with."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions, or a bottleneck with its stride in the 3x3 one."""

    def __init__(self, before: int, width: int, stride: int, expansion: int, shortcut: str, names: tuple[str, str]):
        super().__init__()
        after = width * expansion
        sizes = [(1, 1), (3, stride), (1, 1)] if expansion > 1 else [(3, stride), (3, 1)]
        channels = [before, width, width, after] if expansion > 1 else [before, width, after]
        for k, (kernel, step) in enumerate(sizes):
            conv = nn.Conv2d(channels[k], channels[k + 1], kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{k + 1}", conv)
            self.add_module(f"bn{k + 1}", nn.BatchNorm2d(channels[k + 1]))
        self.count, self.stride, self.extra, self.name = len(sizes), stride, after - before, None
        if shortcut == "B" and (stride > 1 or before != after):
            self.name = names[0].split(".")[0]
            conv = nn.Conv2d(before, after, 1, stride, bias=False)
            self.add_module(self.name, nn.Sequential(conv, nn.BatchNorm2d(after)))

    def forward(self, x):
        y = x
        for k in range(1, self.count + 1):
            y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
            y = functional.relu(y) if k < self.count else y
        if self.name:
            x = getattr(self, self.name)(x)
        elif self.extra:
            margin = self.extra // 2
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, margin, margin))
        return functional.relu(x + y)


class Network(nn.Module):
    """Of torchvision (ImageNet) or akamaster (CIFAR), by the name of its classifier."""

    def __init__(self, blocks: tuple[int, ...], expansion: int, shortcut: str, classes: int, classifier: str):
        super().__init__()
        torch.manual_seed(0)  # the same weights, whichever tests ran before
        self.large, self.classifier = classifier == "fc", classifier
        width = 64 if self.large else 16
        stem = (7, 2, 3) if self.large else (3, 1, 1)
        self.conv1, self.bn1 = nn.Conv2d(3, width, *stem, bias=False), nn.BatchNorm2d(width)
        names = ("downsample.0", "downsample.1") if self.large else ("shortcut.0", "shortcut.1")
        before, self.stages = width, len(blocks)
        for stage, count in enumerate(blocks):
            parts = []
            for k in range(count):
                stride = 2 if stage and not k else 1
                parts.append(Block(before, width * 2**stage, stride, expansion, shortcut, names))
                before = width * 2**stage * expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*parts))
        self.add_module(classifier, nn.Linear(before, classes))

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        if self.large:
            x = functional.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return getattr(self, self.classifier)(x.mean((2, 3)))


def torch_logits(network: nn.Module, images) -> object:
    """float32 [batch, classes] of images [batch, height, width, 3]."""
    network.eval()
    with torch.no_grad():
        return network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()).numpy()


def stirred(network: nn.Module) -> nn.Module:
    """With batch statistics and parameters unlike those of the start, which would hide a wrong one."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
        elif name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn3.weight")):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network
