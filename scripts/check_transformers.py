#!/usr/bin/env python3
"""Loads what `longvid weights export --sample` wrote with transformers, and compares its numbers with longvid's.

    pip install torch==2.11.0 transformers==5.23.0 safetensors==0.8.0
    longvid weights export --from RUN --to FOLDER --sample
    python3 scripts/check_transformers.py FOLDER...

No key may be missing or unexpected. Differences are shares of the largest value; beyond 1e-4 the script fails. transformers'
norm before the head has 1e-5 where the published code and longvid have 1e-6: predictions are compared with both.
"""

import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])


def apart(got, want):
    return float((got - want).abs().max() / want.abs().max())


def check(folder):
    architecture = transformers.AutoConfig.from_pretrained(folder).architectures[0]
    model, info = getattr(transformers, architecture).from_pretrained(folder, output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[key]:
            sys.exit(f"{folder}: {key}: {sorted(info[key])}")
    sample = load_file(Path(folder) / "sample.safetensors")
    pixels = ((sample["clip_bthwc"].float() / 255 - MEAN) / STD).permute(0, 1, 4, 2, 3)
    model.eval()
    found = {}
    with torch.no_grad():
        encoder = model if architecture == "VideoMAEModel" else model.videomae
        found["features"] = apart(encoder(pixels).last_hidden_state, sample["features_bnd"])
        if "logits_bqc" in sample:
            hidden = sample["hidden_bn"].bool()
            said = model(pixels, bool_masked_pos=hidden).logits
            print(f"{folder}: predictions with transformers' 1e-5: {apart(said, sample['logits_bqc']):.1e} apart")
            model.decoder.norm.eps = 1e-6
            found["predictions"] = apart(model(pixels, bool_masked_pos=hidden).logits, sample["logits_bqc"])
    print(f"{folder}: {architecture}, no missing or unexpected keys; " +
          ", ".join(f"{what} {difference:.1e} apart" for what, difference in found.items()))
    if max(found.values()) > 1e-4:
        sys.exit(f"{folder}: too far apart")


if not sys.argv[1:]:
    sys.exit(__doc__)
for folder in sys.argv[1:]:
    check(folder)
