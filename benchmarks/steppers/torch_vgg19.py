"""Steps of style transfer through VGG-19 with PyTorch; for `nst_step.py`.

It runs in its own environment with torch, reads lines ``BATCH SIZE STEPS`` and answers each with
the median milliseconds per step. The weights are random, as speed does not depend on them.
"""

import statistics
import sys
import time

import torch
from torch import nn

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))
STYLE = ("1_1", "2_1", "3_1", "4_1", "5_1")
CONTENT = "4_2"


class VGG19(nn.Module):
    """VGG-19 up to conv5_1, the deepest tap."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        self.names, self.blocks = [], nn.ModuleList()
        for block, (outputs, count) in enumerate(BLOCKS, start=1):
            for index in range(1, count + 1):
                self.names.append(f"{block}_{index}")
                self.blocks.append(nn.Conv2d(channels, outputs, 3, padding=1))
                channels = outputs
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        taps = {}
        for name, conv in zip(self.names, self.blocks, strict=True):
            if name.endswith("_1") and name != "1_1":
                x = nn.functional.max_pool2d(x, 2)
            x = taps[name] = torch.relu(conv(x))
        return taps


def gram(features: torch.Tensor) -> torch.Tensor:
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def relative(found: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    axes = tuple(range(1, found.ndim))
    return (((found - target) ** 2).sum(axes) / (target**2).sum(axes)).sum()


def variation(pictures: torch.Tensor) -> torch.Tensor:
    down, right = pictures[:, :, 1:] - pictures[:, :, :-1], pictures[..., 1:] - pictures[..., :-1]
    return ((down**2).mean((1, 2, 3)) + (right**2).mean((1, 2, 3))).sum()


def make_step(batch: int, size: int):
    network = VGG19().eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        targets = network(torch.rand(batch, 3, size, size))
        grams = {name: gram(targets[name]) for name in STYLE}
    pictures = torch.rand(batch, 3, size, size, requires_grad=True)
    optimizer = torch.optim.Adam([pictures], lr=0.02, betas=(0.9, 0.99))

    def step() -> float:
        optimizer.zero_grad()
        taps = network(pictures.contiguous(memory_format=torch.channels_last))
        style = sum(relative(gram(taps[name]), grams[name]) for name in STYLE)
        content = relative(taps[CONTENT], targets[CONTENT])
        loss = 6 * style / 5 + 0.3 * content + variation(pictures)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            pictures.clamp_(0, 1)
        return float(loss)

    return step


def main() -> None:
    torch.manual_seed(0)
    steps = {}
    print("ready", flush=True)
    for line in sys.stdin:
        *key, count = map(int, line.split())
        if tuple(key) not in steps:
            steps[tuple(key)] = make_step(*key)
            steps[tuple(key)]()
        spent = []
        for _ in range(count):
            began = time.perf_counter()
            steps[tuple(key)]()
            spent.append(1e3 * (time.perf_counter() - began))
        print(statistics.median(spent), flush=True)


if __name__ == "__main__":
    main()
