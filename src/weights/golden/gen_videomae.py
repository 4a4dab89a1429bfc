"""Writes clip.safetensors and image.safetensors: what transformers' VideoMAE makes of small clips, and its gradients.

    pip install torch==2.11.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6    # Python 3.11
    python gen_videomae.py

`clip` is VideoMAE at toy size, `image` the single-frame case that ImageMAE is. Each file holds the weights by transformers'
names, `input.clip_bthwc` (u8) and `input.hidden_bn` (u8, 1: hidden), `output.features_bvd`, `output.logits_bqc`, `output.loss`,
and `grad.<name>` of every weight outside of the second blocks, of the two largest only the first two rows.

Two numbers of transformers' model are not those of the published VideoMAE code, which has 1e-6 in all layer norms: 1e-12 in the
blocks (its default of `layer_norm_eps`, set here) and 1e-5 in the norm before the head (which it cannot be told, and is set
here in the module). Weights are drawn at random, biases and norms too, so that a bias that is lost shows.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import VideoMAEConfig, VideoMAEForPreTraining

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])
LARGE = ["videomae.embeddings.patch_embeddings.projection.weight", "decoder.head.weight"]


def case(name, num_frames, tubelet_size, depth, seed):
    torch.manual_seed(seed)
    config = VideoMAEConfig(
        image_size=16, patch_size=4, num_frames=num_frames, tubelet_size=tubelet_size, hidden_size=24,
        num_hidden_layers=depth, num_attention_heads=3, intermediate_size=96, decoder_hidden_size=12,
        decoder_num_hidden_layers=depth, decoder_num_attention_heads=2, decoder_intermediate_size=48,
        layer_norm_eps=1e-6, use_mean_pooling=False, norm_pix_loss=True, attn_implementation="eager")
    model = VideoMAEForPreTraining(config).train()
    model.decoder.norm.eps = 1e-6
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    clip_bthwc = torch.randint(256, (2, num_frames, 16, 16, 3), dtype=torch.uint8)
    num_tokens = num_frames // tubelet_size * 16
    hidden = torch.stack([torch.randperm(num_tokens) < num_tokens * 3 // 4 for _ in range(2)])
    pixels = ((clip_bthwc.float() / 255 - MEAN) / STD).permute(0, 1, 4, 2, 3).contiguous()
    features = model.videomae(pixels, bool_masked_pos=hidden).last_hidden_state
    out = model(pixels, bool_masked_pos=hidden)
    out.loss.backward()
    # The names of the released weights; transformers 5 calls these biases query.bias and value.bias and reads both.
    named = {k.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): v for k, v in model.named_parameters()}
    arrays = {k: v.detach() for k, v in named.items()}
    arrays |= {
        f"grad.{k}": v.grad[:2] if k in LARGE else v.grad for k, v in named.items() if ".1." not in k}
    arrays |= {
        "input.clip_bthwc": clip_bthwc, "input.hidden_bn": hidden.to(torch.uint8), "output.features_bvd": features.detach(),
        "output.logits_bqc": out.logits.detach(), "output.loss": out.loss.detach().reshape(1)}
    path = Path(__file__).with_name(f"{name}.safetensors")
    save_file({k: v.contiguous().clone() for k, v in arrays.items()}, path)
    print(path.name, path.stat().st_size, "bytes, loss", out.loss.item())


case("clip", num_frames=8, tubelet_size=2, depth=2, seed=0)
case("image", num_frames=1, tubelet_size=1, depth=1, seed=1)
