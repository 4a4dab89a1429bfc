"""Writes peer.json: what vector-quantize-pytorch makes of the same inputs as this crate, in float32.

    pip install torch==2.15.0 vector-quantize-pytorch==1.32.0
    python gen_peer.py

Inputs are drawn from torch's seed 0 and rounded to 3 decimals; vectors within 1e-3 of a boundary
between two codes are left out, so that no other order of summation can choose another code. `grad` is that of
sum(values * weights) alone, `grad_loss` that of the loss alone.
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from torch import tensor
from vector_quantize_pytorch import FSQ, LFQ, ResidualFSQ, ResidualLFQ, ResidualVQ, VectorQuantize

torch.manual_seed(0)


def rounded(*shape, scale=1.0):
    return (torch.randn(*shape) * scale).mul(1000).round().div(1000)


def floats(t):
    return [float(f"{v:.7g}") for v in t.detach().flatten().tolist()]


def ints(t):
    return t.flatten().tolist()


def gradients(quantize, z):
    """Values, codes, loss, and the gradients of sum(values * weights) and of the loss, at z [N, D]."""
    weights = rounded(*z.shape)
    z = z.clone().requires_grad_()
    values, codes, loss = quantize(z[None])
    grad = torch.autograd.grad((values[0] * weights).sum(), z, retain_graph=True)[0]
    out = {
        "z": floats(z),
        "weights": floats(weights),
        "values": floats(values),
        "codes": ints(codes),
        "grad": floats(grad),
    }
    if loss is not None:
        grad_loss = torch.autograd.grad(loss.sum(), z)[0]
        out |= {"loss": float(loss.detach().sum()), "grad_loss": floats(grad_loss)}
    return out


def fsq(levels):
    quantizer = FSQ(levels)
    z = rounded(40, len(levels), scale=1.5)
    half_l = (tensor(levels) - 1) * 1.001 / 2
    offset = torch.where(tensor(levels) % 2 == 0, 0.5, 0.0)
    bounded = torch.tanh(z + torch.atanh(offset / half_l)) * half_l - offset
    z = z[((bounded - bounded.floor() - 0.5).abs() > 1e-3).all(-1)]
    return {"levels": levels} | gradients(lambda z: (*quantizer(z), None), z)


def lfq(bits, inv_temperature, diversity, commitment_weight):
    quantizer = LFQ(
        dim=bits,
        entropy_loss_weight=0.1,
        diversity_gamma=diversity,
        commitment_loss_weight=commitment_weight,
    ).train()
    terms = []

    def run(z):
        out, breakdown = quantizer(z, inv_temperature=inv_temperature, return_loss_breakdown=True)
        terms.extend(float(term.detach()) for term in breakdown)
        return out

    # Up to 1.1, so that no probability reaches the peer's clamp of logarithms at 1e-5.
    z = rounded(30, bits, scale=0.7).clamp(-1.1, 1.1)
    out = gradients(run, z[(z.abs() > 1e-3).all(-1)])
    names = ["per_sample_entropy", "batch_entropy", "commitment"]
    settings = {
        "bits": bits,
        "inv_temperature": inv_temperature,
        "diversity": diversity,
        "commitment_weight": commitment_weight,
    }
    return settings | out | dict(zip(names, terms))


def clear(z, codebook):
    """Whether the nearest entry of each vector is nearest by far."""
    nearest = torch.cdist(z, codebook).topk(2, largest=False).values
    return nearest[:, 1] - nearest[:, 0] > 1e-3


def vq(rotation_trick, dead_below):
    """One forward in training mode: quantization by the codebook before, then one update of it."""
    quantizer = VectorQuantize(
        dim=4,
        codebook_size=8,
        decay=0.8,
        commitment_weight=0.25,
        threshold_ema_dead_code=dead_below,
        rotation_trick=rotation_trick,
    ).train()
    state = quantizer._codebook
    codebook, counts = rounded(8, 4), torch.rand(8).mul(1000).round().div(1000) * 4
    state.embed.copy_(codebook[None])
    state.cluster_size.copy_(counts[None])
    state.embed_avg.copy_((codebook * counts[:, None])[None])
    z = rounded(30, 4)
    before = {"codebook": floats(codebook), "counts": floats(counts), "sums": floats(state.embed_avg)}
    out = gradients(quantizer, z[clear(z, codebook)])
    after = {"codebook": floats(state.embed), "counts": floats(state.cluster_size), "sums": floats(state.embed_avg)}
    settings = {"gradient": "rotation" if rotation_trick else "straight_through", "dead_below": dead_below}
    return settings | {"before": before, "after": after} | out


def residual_vq():
    quantizer = ResidualVQ(
        dim=4, num_quantizers=3, codebook_size=8, commitment_weight=0.25, rotation_trick=False, decay=0.8
    ).train()
    tables = torch.stack([rounded(8, 4, scale=0.5**i) for i in range(3)])
    z, keep = rounded(30, 4), []
    for layer, table in zip(quantizer.layers, tables):
        layer.freeze_codebook = True
        layer.codebook = table
    residual = z
    for table in tables:
        keep.append(clear(residual, table))
        residual = residual - table[torch.cdist(residual, table).argmin(-1)]
    return {"tables": floats(tables)} | gradients(quantizer, z[torch.stack(keep).all(0)])


def residual_fsq(levels, stages):
    """`clamped`: the peer's hard clamp cuts the gradient there."""
    quantizer = ResidualFSQ(levels=levels, num_quantizers=stages)
    z = rounded(40, len(levels))
    c = 1 + 1 / (tensor(levels) - 1)
    clamped = (z / c).tanh() * c
    # All stages together are one rounding to L^S levels.
    fine = ((clamped / c + 1) / 2) * tensor(levels) ** stages
    keep = ((fine - fine.round()).abs() > 1e-2).all(-1)
    out = gradients(lambda z: (*quantizer(z), None), z[keep])
    cut = torch.zeros_like(z[keep], dtype=torch.bool)
    residual = clamped[keep]
    for layer, scale in zip(quantizer.layers, quantizer.scales):
        cut |= (residual / scale).abs() > 1
        residual = residual - layer(residual[None] / scale)[0][0] * scale
    return {"levels": levels, "stages": stages, "clamped": ints(cut.int())} | out


def residual_lfq(bits, stages):
    quantizer = ResidualLFQ(dim=bits, codebook_size=2**bits, num_quantizers=stages).train()
    z = rounded(30, bits)
    grid = z * 2 ** (stages - 1)
    z = z[((grid - grid.round()).abs() > 1e-2).all(-1)]
    values, codes, _ = quantizer(z[None])
    return {"bits": bits, "stages": stages, "z": floats(z), "values": floats(values), "codes": ints(codes)}


peer = {
    "versions": {p: version(p) for p in ("vector-quantize-pytorch", "torch")} | {"python": platform.python_version()},
    "fsq": [fsq([8, 5, 5, 5]), fsq([4, 3])],
    "lfq": [lfq(4, 0.5, 1.0, 0.0), lfq(4, 0.5, 0.7, 0.25), lfq(1, 2.0, 1.0, 0.25)],
    "vq": [vq(False, 0), vq(True, 0), vq(False, 2)],
    "residual_vq": [residual_vq()],
    "residual_fsq": [residual_fsq([8, 5, 3], 1), residual_fsq([5, 4, 3], 3)],
    "residual_lfq": [residual_lfq(3, 3)],
}
cases = ",\n".join(
    f"{json.dumps(kind)}: "
    + (json.dumps(of) if kind == "versions" else "[\n" + ",\n".join(json.dumps(case) for case in of) + "\n]")
    for kind, of in peer.items()
)
Path(__file__).with_name("peer.json").write_text(f"{{\n{cases}\n}}\n")
