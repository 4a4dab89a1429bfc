"""Writes fsq.json: golden values of finite scalar quantization.

The formula is the listing of arXiv:2309.15505, appendix A.1, in float64: an implementation of its own, so that it shares no
code with the crate. `exact` is the bound of vector-quantize-pytorch: (1 + eps) and atanh.

    python gen_fsq.py        # numpy 2.4.6, Python 3.11

Inputs are a fixed grid that reaches every level, plus values far in the tails. Those within 1e-4 of a rounding boundary are
left out: float32 may round them to the other side.
"""

import json
from pathlib import Path

import numpy as np

EPS = 1e-3


def bound(z, levels, exact):
    levels = np.asarray(levels, dtype=np.float64)
    half_l = (levels - 1) * ((1 + EPS) if exact else (1 - EPS)) / 2
    offset = np.where(levels % 2 == 1, 0.0, 0.5)
    shift = np.arctanh(offset / half_l) if exact else np.tan(offset / half_l)
    return np.tanh(z + shift) * half_l - offset


def case(levels, exact):
    d = len(levels)
    grid = np.concatenate([np.linspace(-3, 3, 25), [-20.0, 20.0, 0.0]])
    z = np.stack([np.roll(grid, 5 * i) for i in range(d)], axis=-1)
    z = z.round(3)
    b = bound(z, levels, exact)
    clear = (np.abs(b - np.floor(b) - 0.5) > 1e-4).all(axis=-1)
    z, b = z[clear], b[clear]
    half = np.asarray(levels) // 2
    q = np.round(b)
    basis = np.concatenate([[1], np.cumprod(levels[:-1])]).astype(np.int64)
    codes = ((q.astype(np.int64) + half) * basis).sum(-1)
    # d value / d z with the rounding passed straight through: (1 - tanh^2) * half_l / (L // 2), by central difference.
    h = 1e-5
    grad = (bound(z + h, levels, exact) - bound(z - h, levels, exact)) / (2 * h) / half
    return {
        "levels": levels,
        "bound": "exact" if exact else "official",
        "z": z.flatten().tolist(),
        "values": [float(f"{v:.8g}") for v in (q / half).flatten()],
        "codes": codes.tolist(),
        "grad": [float(f"{g:.7g}") for g in grad.flatten()],
    }


cases = [
    case(levels, exact)
    for levels in ([8, 5, 5, 5], [7, 5, 5, 5, 5], [8, 8, 8, 8, 8, 8], [2, 3, 16])
    for exact in (False, True)
]
lines = ",\n".join(json.dumps(c) for c in cases)
Path(__file__).with_name("fsq.json").write_text(f"[\n{lines}\n]\n")
