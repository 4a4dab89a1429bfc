"""What the package lpips says of a VGG16 of few channels: the numbers in tests.rs.

pip install torch torchvision lpips==0.1.4 numpy; python3 golden.py        (made with torch 2.15.0 and numpy 2.4.6)
"""
from types import SimpleNamespace

import lpips
import numpy as np
import torch
from torchvision.models.vgg import make_layers

CHANNELS = [4, 6, 8, 8, 8]
CONVS = [2, 2, 3, 3, 3]
LAYERS = [layer for c, n in zip(CHANNELS, CONVS) for layer in [c] * n + ["M"]]


def wave(shape, phase, scale):
    """Numbers that need no file: scale * sin(0.7 i + phase)."""
    values = scale * np.sin(0.7 * np.arange(np.prod(shape)) + phase)
    return torch.tensor(values).reshape(shape)


lpips.pretrained_networks.tv = SimpleNamespace(vgg16=lambda pretrained: SimpleNamespace(features=make_layers(LAYERS)))
for heads in [True, False]:
    model = lpips.LPIPS(net="vgg", pretrained=False, lpips=heads, verbose=False)
    for module in model.net.modules():
        if isinstance(module, torch.nn.Conv2d):
            c_out, c_in = module.weight.shape[:2]
            module.weight.data = wave(module.weight.shape, c_in, (4 / (9 * c_in)) ** 0.5)
            module.bias.data = wave([c_out], c_out, 0.1)
    if heads:
        for i, c in enumerate(CHANNELS):
            lin = lpips.NetLinLayer(c, use_dropout=True)
            lin.model[1].weight.data = wave([1, c, 1, 1], i, 1.0).abs()
            model.lins[i] = lin
    model.eval().double()
    drawn, real = wave([3, 32, 32], 1.0, 0.9).requires_grad_(), wave([3, 32, 32], 2.5, 0.8)
    distance = model(drawn[None], real[None])
    distance.sum().backward()
    print(heads, distance.item(), drawn.grad.norm().item(), drawn.grad[1, 5, 7].item())
print(torch.__version__, np.__version__)
