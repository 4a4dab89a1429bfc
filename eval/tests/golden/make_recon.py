#!/usr/bin/env python3
"""Writes the arrays and modules beside this file that the measures of reconstruction are tested against.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 safetensors torch
    python3 make_recon.py

recon.safetensors  SSIM by scikit-image, Frechet distances by scipy.linalg.sqrtm
i3d_stub.pt        TorchScript with the calling convention of StyleGAN-V's i3d_torchscript.pt, which answers what it was told
i3d_other.pt       the same convention, but features of another shape
"""

from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from safetensors.numpy import save_file
from skimage.metrics import structural_similarity

HERE = Path(__file__).parent


def ssim_cases(rng):
    noise = rng.integers(0, 256, (23, 31, 3), dtype=np.uint8)
    disturbed = np.clip(noise.astype(int) + rng.integers(-40, 41, noise.shape), 0, 255).astype(np.uint8)
    y, x = np.mgrid[0:32, 0:40]
    gradient = np.stack([4 * y + x, 2 * x + 30, 200 - 3 * y], -1).astype(np.uint8)
    return {
        "noise": (noise, disturbed),
        "gradient": (gradient, np.clip(0.7 * gradient + 20, 0, 255).astype(np.uint8)),
        "shifted": (gradient, np.roll(gradient, 3, axis=1)),
    }


def frechet(a, b):
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * np.real(root)))


class Stub(torch.nn.Module):
    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool):
        switches = torch.tensor([float(rescale), float(resize), float(return_features)]).unsqueeze(0)
        return torch.cat([x.mean([2, 3, 4]), switches], 1)


class Other(torch.nn.Module):
    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool):
        return x.mean([3, 4])


def main():
    rng = np.random.default_rng(5)
    arrays = {}
    for name, (a, b) in ssim_cases(rng).items():
        value = structural_similarity(
            a, b, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        arrays |= {f"ssim.{name}.a": a, f"ssim.{name}.b": b, f"ssim.{name}.value": np.array(value)}
    mix = rng.normal(size=(6, 6))
    few = rng.normal(size=(5, 8))
    for name, (a, b) in {
        "many": (rng.normal(size=(60, 6)) @ mix, rng.normal(size=(40, 6)) + 0.5),
        # Fewer clips than features: covariances without full rank.
        "few": (few, few + 0.3 * rng.normal(size=(5, 8))),
    }.items():
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        arrays |= {f"frechet.{name}.a": a, f"frechet.{name}.b": b, f"frechet.{name}.value": np.array(frechet(a, b))}
    save_file(arrays, HERE / "recon.safetensors")
    torch.jit.script(Stub()).save(HERE / "i3d_stub.pt")
    torch.jit.script(Other()).save(HERE / "i3d_other.pt")


if __name__ == "__main__":
    main()
