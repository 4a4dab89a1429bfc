#!/usr/bin/env python3
"""PSNR on held-out clips: `longvid tokenizer train` against the VideoTokenizer of magvit2-pytorch, same seconds, same cores.

Both learn the same windows of 16 frames from the same clip store, with as many tokens per window and bits per token, from
the mean squared error alone; both draw the test clips from all their tokens, as u8, and are compared with the same frames.

    python3 -m venv /somewhere
    /somewhere/bin/pip install torch==2.11.0 torchvision==0.26.0 magvit2-pytorch==0.5.1 vector-quantize-pytorch==1.32.0 \\
        h5py==3.16.0 numpy==2.4.6 pillow==13.0.0
    /somewhere/bin/python benches/tokenizer_peers.py --videos VIDEOS --work FOLDER --longvid target/release/longvid

What is done for theirs:
- It trains as long as the whole process of `longvid tokenizer train` took, start, checkpoints and pictures included; its own
  imports, construction and frames, all decoded into memory before, do not count.
- Its networks: the README's, with one `compress_time` for these tokens, and narrower and plainer ones that make many more
  steps in the time. For each, the learning rate is chosen by PSNR on the training clips' first windows after `--sweep-secs`.
  Then all run for the full time, and ours is compared with the one that is best on the test clips.
- Its optimizer (AdamW, betas 0.9 and 0.99, weight decay 0.01), with warm-up, cosine decay and gradient clipping as ours has
  them; its trainer's own learning rate of 1e-5 with 1000 steps of warm-up would not get anywhere in minutes.
- Its frames are scaled to -1 to 1, as ours are: it learns faster so than from the 0 to 1 of its own loader.
- Its convolutions' weights and frames lie channels last in memory, which is a little faster.
- 16 frames without its first-frame padding: with it, 17 frames would take 9 x 8 x 8 tokens instead of 8 x 8 x 8.
- LFQ, of which it has as many bits, is run on request (`--lfq`): its entropy term measures each token against each of the
  2^18 codes, which takes 8 GiB and 60 times as long a step as FSQ.
- Flips, random squares and random instants are drawn for both, as the preset has them.
What is not: discriminator and perceptual loss are off (both lower PSNR), no moving average of the weights (too few steps), no
torch.compile. 0.5.1 leaves out its own LayerNorm before the quantizer; that stays as published.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version

THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "2"))

import numpy as np
import torch
from clip_frames import WINDOW_FRAMES, read_clips
from magvit2 import SHAPES, SIZE_PX, batches, build, psnr_db, train

def longvid(args, *command):
    command = [args.longvid, "--threads", str(THREADS), *map(str, command)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def import_clips(args, side):
    """The clip store of one side of the split, made unless it is there."""
    store = args.work / f"{side}.h5"
    if store.exists():
        return store
    links = args.work / f"{side}_videos"
    links.mkdir(parents=True, exist_ok=True)
    for line in args.split.read_text().splitlines():
        if line.startswith(side + " "):
            name = line.removeprefix(side + " ")
            (links / name).unlink(missing_ok=True)
            (links / name).symlink_to((args.videos / name).resolve(strict=True))
    longvid(args, "data", "import", "folder", links, "--out", store, "--short-side", SIZE_PX)
    return store


def resolved_preset(args, clips):
    """The preset with its changes, after checking that its frames can be varied as they are here."""
    sets = [part for setting in args.set for part in ("--set", setting)]
    preset = tomllib.loads(longvid(args, "tokenizer", "train", "--preset", args.preset, *sets, "--clips", clips, "--out",
                                   args.work / "none", "--dry-run"))
    augment, loss = preset["augment"], preset["tokenizer"]["loss"]
    assert (loss["recon"], loss["frame_diff_weight"]) == ("l2", 0.0), "the mean squared error alone, as theirs"
    kinds = [augment[key]["kind"] for key in ("colour", "rand_augment", "erasing")]
    assert kinds == ["none", "none", "none"] and augment["crop"]["kind"] in ("centre", "random"), augment
    assert (preset["clip"]["size_px"], augment["repeats"]) == (SIZE_PX, 1)
    return preset


def grid_of(preset):
    """Tokens of a window along time, rows and columns."""
    t, h, w = preset["clip"]["patch"]
    return WINDOW_FRAMES // t, SIZE_PX // h, SIZE_PX // w


def summary(psnrs_db):
    """PSNR of the mean squared error over all clips, and mean PSNR of a clip, dB. Not a number counts as nothing learned."""
    if not np.isfinite(psnrs_db).all():
        return 0.0, 0.0
    return -10 * math.log10(np.mean([10 ** (-psnr / 10) for psnr in psnrs_db])), float(np.mean(psnrs_db))


def ours(args, stores, seed):
    """A run of `longvid`: its record, and PSNR of each test clip, two digits after the point."""
    out = args.work / f"ours_{time.strftime('%Y%m%d_%H%M%S')}_{seed}"
    sets = [f"train.seed={seed}", *args.set]
    began = time.monotonic()
    longvid(args, "tokenizer", "train", "--preset", args.preset, "--clips", stores["train"], "--out", out,
            *(part for setting in sets for part in ("--set", setting)))
    secs = time.monotonic() - began
    said = longvid(args, "tokenizer", "reconstruct", "--tokenizer", out / "tokenizer.safetensors", "--clips",
                   stores["test"], "--out", out / "test", "--count", 10**6)
    rows = [line.rsplit(maxsplit=2) for line in said.splitlines()[1:-1]]
    record = {"secs": secs, **json.loads((out / "run.json").read_text())}
    return record, {name: float(all_tokens) for name, all_tokens, _ in rows}


class Theirs:
    """Everything that a run of theirs needs but its network, rate and seconds."""

    def __init__(self, args, clips, preset):
        self.args, self.clips = args, clips
        self.num_frames, self.step_frames = preset["clip"]["num_frames"], preset["clip"]["patch"][0]
        self.levels = preset["tokenizer"]["quantizer"]["levels"]
        self.grid = grid_of(preset)

    def run(self, name, learning_rate, secs, seed, side):
        """Trains, and says what it reaches on clips of a side: (pooled dB, mean dB, steps)."""
        lfq = name.endswith("LFQ")
        quantizer = {"codebook_size": math.prod(self.levels)} if lfq else {"use_fsq": True, "fsq_levels": self.levels}
        torch.manual_seed(seed)
        tokenizer = build(SHAPES[name.removesuffix(", LFQ")], quantizer)
        feed = batches(self.clips["train"], self.step_frames, self.args.batch, np.random.default_rng(seed))
        steps = train(tokenizer, feed, learning_rate, secs)
        num_frames = self.num_frames if side == "test" else WINDOW_FRAMES
        return *summary(psnr_db(tokenizer, self.clips[side], num_frames, self.grid)), steps

    def choose_rate(self, name):
        """The learning rate with the best PSNR on the training clips, and a table row of them all."""
        reached = {rate: self.run(name, rate, self.args.sweep_secs, 0, "train") for rate in self.args.rates}
        row = " | ".join(f"{pooled:.2f} ({steps})" for pooled, _, steps in reached.values())
        print(f"sweep: {name}: {row}", file=sys.stderr)
        return max(reached, key=lambda rate: reached[rate][0]), f"| {name} | {row} |"


def compare(args, stores, theirs, test_names):
    """Rows of results (name, rate, seed, seconds, steps, pooled, mean), rows of the sweep, the record of our last run."""
    rates, sweep = {}, []
    for name in args.shapes:
        rates[name], row = theirs.choose_rate(name)
        sweep.append(row)
    if args.lfq:
        rates[f"{args.lfq}, LFQ"] = rates[args.lfq]
    rows = []
    for seed in range(args.seeds):
        run, by_name = ours(args, stores, seed)
        assert sorted(by_name) == sorted(test_names), "both draw the same clips"
        rows.append(("longvid", "", seed, run["secs"], run["steps_planned"], *summary(list(by_name.values()))))
        for name, rate in rates.items():
            pooled, mean, steps = theirs.run(name, rate, run["secs"], seed, "test")
            rows.append((name, f"{rate:g}", seed, run["secs"], steps, pooled, mean))
            print(f"seed {seed}: {name}: {pooled:.2f} dB, {steps} steps, {run['secs']:.0f} s", file=sys.stderr)
    return rows, sweep, run


def verdict(rows):
    """The best of theirs by its mean over the seeds, and by how much ours is above it."""
    by_name = {}
    for name, *_, pooled, mean in rows:
        by_name.setdefault(name, []).append((pooled, mean))
    means = {name: np.mean(results, axis=0) for name, results in by_name.items()}
    best = max((name for name in means if name != "longvid"), key=lambda name: means[name][0])
    pooled, mean = means["longvid"] - means[best]
    return (f"longvid against the best of theirs ({best}), mean of {len(by_name['longvid'])} seeds: "
            f"{pooled:+.2f} dB pooled, {mean:+.2f} dB per clip")


def report(args, results, preset, num_clips):
    """The tables and what they were measured on, as markdown."""
    rows, sweep, run = results
    frames, sampling = preset["clip"]["num_frames"], json.dumps(preset["clip"]["sampling"])
    grid, bits = " x ".join(map(str, grid_of(preset))), math.log2(math.prod(preset["tokenizer"]["quantizer"]["levels"]))
    settings = "".join(f" --set '{setting}'" for setting in args.set)
    lines = [
        "# Held-out PSNR against magvit2-pytorch's VideoTokenizer, same seconds on the same cores", "",
        f"- date: {args.date}; {args.machine or run['hardware']['processor']}, {THREADS} threads",
        f"- longvid {run['version']} ({run['commit']}), libtorch {run['libraries']['libtorch']}; magvit2-pytorch "
        f"{version('magvit2-pytorch')}, vector-quantize-pytorch {version('vector-quantize-pytorch')}, torch {version('torch')}",
        f"- clips: {num_clips['train']} real videos to train on, {num_clips['test']} others to test on "
        f"({args.split.name}); {SIZE_PX} x {SIZE_PX} pixels, timelines of {frames} frames, sampling {sampling}",
        f"- windows of {WINDOW_FRAMES} frames, {grid} tokens of {bits:g} bits each; PSNR of whole u8 frames, all tokens, the "
        f"first {frames} frames of each test clip",
        f"- ours: preset `{args.preset}`{settings}", f"- theirs: batches of {args.batch}", "",
        "| tokenizer | learning rate | seed | seconds | steps | PSNR, pooled error, dB | PSNR, mean of clips, dB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, rate, seed, secs, steps, pooled, mean in rows:
        lines.append(f"| {name} | {rate} | {seed} | {secs:.0f} | {steps} | {pooled:.2f} | {mean:.2f} |")
    lines += [
        "", verdict(rows) + ".", "",
        f"Theirs after {args.sweep_secs:g} s of training, on the first windows of the training clips: dB (steps) by learning "
        "rate; the best rate goes into the table above.", "",
        "| network | " + " | ".join(f"{rate:g}" for rate in args.rates) + " |",
        "|---|" + "---:|" * len(args.rates), *sweep,
    ]
    return "\n".join(lines) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=pathlib.Path, required=True, help="folder of the files that the split names")
    parser.add_argument("--split", type=pathlib.Path, default=pathlib.Path(__file__).with_name("clips_split.txt"))
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for clip stores and runs; stores are reused")
    parser.add_argument("--longvid", default="longvid")
    parser.add_argument("--preset", default="tokenizer-tiny")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="of the preset; train.steps sets the time")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="SHAPE",
                        help=", ".join(SHAPES))
    parser.add_argument("--lfq", choices=SHAPES, metavar="SHAPE", help="one of --shapes, to be run with LFQ as well (8 GiB)")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3])
    parser.add_argument("--sweep-secs", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=2, help="windows per step of theirs")
    parser.add_argument("--record", type=pathlib.Path, help="markdown file to write")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--machine", help="of the record, in words")
    args = parser.parse_args()
    if args.lfq and args.lfq not in args.shapes:
        parser.error("--lfq names a network of --shapes")
    return args


def main():
    args = arguments()
    torch.set_num_threads(THREADS)
    args.work.mkdir(parents=True, exist_ok=True)
    stores = {side: import_clips(args, side) for side in ("train", "test")}
    preset = resolved_preset(args, stores["train"])
    clips = {side: read_clips(store, preset) for side, store in stores.items()}
    results = compare(args, stores, Theirs(args, clips, preset), [clip.name for clip in clips["test"]])
    said = report(args, results, preset, {side: len(clips[side]) for side in clips})
    print(said, end="")
    if args.record:
        args.record.write_text(said)


if __name__ == "__main__":
    main()
