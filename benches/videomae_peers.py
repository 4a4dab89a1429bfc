#!/usr/bin/env python3
"""One VideoMAE training step: longvid against transformers' VideoMAEForPreTraining with fused attention (SDPA).

Both have the same sizes, batch, f32, number of threads and a tube mask over 90 % of the tokens, take whole steps (forward,
backward, AdamW) on noise, and run in processes of their own, in turns. Given are the median time of a step over all rounds,
the highest resident memory of a process, and what of that a process has before it makes a model: much of Python's is libraries.

    python3 -m venv /somewhere
    /somewhere/bin/pip install torch==2.11.0 transformers numpy --extra-index-url https://download.pytorch.org/whl/cpu
    /somewhere/bin/python benches/videomae_peers.py --longvid target/release/longvid --out benches/results/NAME.md
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

PATCH_PX, FRAMES_PER_TOKEN = 16, 2


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longvid", default="longvid")
    parser.add_argument("--preset", default="lvmae-b-128f", help="longvid's preset; sizes below replace its own")
    parser.add_argument("--set", action="append", default=[], help="more settings of the preset; may be repeated")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--encoder", default="768,12,12", help="width, depth, heads")
    parser.add_argument("--decoder", default="384,4,6", help="width, depth, heads")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a process, after one that is not")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", help="file for the record")
    parser.add_argument("--peer", action="store_true", help="(what the children run)")
    args = parser.parse_args()
    args.encoder = [int(value) for value in args.encoder.split(",")]
    args.decoder = [int(value) for value in args.decoder.split(",")]
    return args


def peer(args):
    """Steps of transformers' model; prints what they took."""
    import torch
    import transformers

    at_rest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    (width, depth, heads), (dec_width, dec_depth, dec_heads) = args.encoder, args.decoder
    config = transformers.VideoMAEConfig(
        image_size=args.size_px,
        patch_size=PATCH_PX,
        num_frames=args.frames,
        tubelet_size=FRAMES_PER_TOKEN,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        decoder_hidden_size=dec_width,
        decoder_num_hidden_layers=dec_depth,
        decoder_num_attention_heads=dec_heads,
        decoder_intermediate_size=4 * dec_width,
        attn_implementation="sdpa",
    )
    model = transformers.VideoMAEForPreTraining(config).train()
    optimizer, kind = adamw(torch, model)
    pixels = torch.randn(args.batch, args.frames, 3, args.size_px, args.size_px)
    places = (args.size_px // PATCH_PX) ** 2
    hidden = torch.zeros(args.batch, places, dtype=torch.bool)
    for row in hidden:
        row[torch.randperm(places)[: int(0.9 * places)]] = True
    mask = hidden.repeat(1, args.frames // FRAMES_PER_TOKEN)
    secs = []
    for _ in range(1 + args.steps):
        began = time.monotonic()
        optimizer.zero_grad(set_to_none=True)
        loss = model(pixel_values=pixels, bool_masked_pos=mask).loss
        loss.backward()
        optimizer.step()
        loss.item()
        secs.append(time.monotonic() - began)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "AdamW": kind}
    num_parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"secs": secs[1:], "versions": versions, "parameters": num_parameters, "at_rest": at_rest}))


def adamw(torch, model):
    """The fastest that torch has here: fused, else over lists of tensors."""
    settings = {"lr": 1e-6, "betas": (0.9, 0.95), "weight_decay": 0.05}
    try:
        return torch.optim.AdamW(model.parameters(), fused=True, **settings), "fused"
    except RuntimeError:
        return torch.optim.AdamW(model.parameters(), foreach=True, **settings), "foreach"


def child(command, environment):
    """What a process prints, and its highest resident bytes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed")
    return output, usage.ru_maxrss * 1024


def longvid_command(args):
    command = [args.longvid, "bench", "memory-point", "--preset", args.preset, "--mask", "none"]
    command += ["--frames", str(args.frames), "--batch", str(args.batch), "--steps", str(args.steps)]
    command += ["--threads", str(args.threads), "--device", "cpu"]
    sets = [f"clip.size_px={args.size_px}", f"clip.patch=[{FRAMES_PER_TOKEN},{PATCH_PX},{PATCH_PX}]"]
    sets += ['model.target="pixels"', 'model.encoder.recompute="none"', 'train.precision="f32"']
    sets += ['model.encoder_mask={ kind = "tube", hidden_share = 0.9 }', "model.encoder.drop_path=0.0"]
    for network, sizes in [("encoder", args.encoder), ("decoder", args.decoder)]:
        sets += [f"model.{network}.{key}={value}" for key, value in zip(["width", "depth", "heads"], sizes)]
    for setting in sets + args.set:
        command += ["--set", setting]
    return command


def table(ours, theirs):
    rows = ["| program | step, median | lowest | highest | peak resident | before a model | above that |"]
    rows.append("|---|---:|---:|---:|---:|---:|---:|")
    for name, of in [("longvid", ours), ("transformers, SDPA", theirs)]:
        secs = [statistics.median(of["secs"]), min(of["secs"]), max(of["secs"])]
        held = [max(of["rss"]), of["at_rest"], max(of["rss"]) - of["at_rest"]]
        cells = [f"{1e3 * value:.0f} ms" for value in secs] + [f"{value / (1 << 20):.0f} MiB" for value in held]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    secs, peak, above = (
        of(ours) / of(theirs)
        for of in (
            lambda of: statistics.median(of["secs"]),
            lambda of: max(of["rss"]),
            lambda of: max(of["rss"]) - of["at_rest"],
        )
    )
    rows.append(f"| longvid / transformers | {secs:.3f} | | | {peak:.3f} | | {above:.3f} |")
    return "\n".join(rows)


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def main():
    args = parsed()
    if args.peer:
        return peer(args)
    words = sys.argv[1:]
    threads = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    version, at_rest = child([args.longvid, "--version"], threads)
    ours, theirs = {"secs": [], "rss": [], "at_rest": at_rest}, {"secs": [], "rss": []}
    for _ in range(args.rounds):
        output, rss = child(longvid_command(args), threads)
        ours["secs"].append(json.loads(output)["step_secs"])
        ours["rss"].append(rss)
        output, rss = child([sys.executable, __file__, "--peer", *words], threads)
        answer = json.loads(output)
        theirs["secs"].append(statistics.median(answer["secs"]))
        theirs["rss"].append(rss)
        theirs["at_rest"] = answer["at_rest"]
    (width, depth, heads), (dec_width, dec_depth, dec_heads) = args.encoder, args.decoder
    versions = ", ".join(f"{name} {value}" for name, value in answer["versions"].items())
    record = f"""# One VideoMAE training step against transformers

- command: `python benches/videomae_peers.py {" ".join(words)}`
- date: {datetime.date.today()}
- machine: {processor()}, {args.threads} threads
- {version.strip()}; Python {platform.python_version()}, {versions}
- {args.frames} frames of {args.size_px} x {args.size_px} pixels, batch {args.batch}, f32, 90 % hidden, all hidden tokens decoded;
  encoder {width} wide, {depth} deep, {heads} heads, decoder {dec_width}, {dec_depth}, {dec_heads}; \
{answer["parameters"] / 1e6:.1f} M parameters
- {args.rounds} rounds in turns, {args.steps} timed steps each

{table(ours, theirs)}
"""
    print(record)
    if args.out:
        pathlib.Path(args.out).write_text(record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
