"""Two ranks of one thread each against one process of two threads: the same global batch, in turns.

    python3 benches/ranks.py --clips train.h5 --tokens train.tokens.h5 [--preset lvmae-tiny-128f] [--rounds 3]

Prints seconds per step (the median over a run's steps but the first two) of each round, and the ratio of the throughputs:
one process's time over the ranks'. Both write the same numbers, so the last losses are compared as well.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).parent.parent / "target/release/longvid"


def train(args, out: Path, prefix: list[str], threads: str) -> tuple[float, float]:
    """Seconds per step and the last loss of a run."""
    shutil.rmtree(out, ignore_errors=True)
    command = [PROGRAM, *prefix, "pretrain", "--preset", args.preset, "--clips", args.clips, "--tokens", args.tokens,
               "--out", out, "--threads", threads]
    for key, value in {"steps": args.steps, "warmup_steps": 1, "log_every": 1, "checkpoint_every": 1000}.items():
        command += ["--set", f"train.{key}={value}"]
    for setting in args.set:
        command += ["--set", setting]
    subprocess.run(command, check=True, capture_output=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(line["step_secs"] for line in lines[2:]), lines[-1]["loss"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", required=True)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--preset", default="lvmae-tiny-128f")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.rounds):
            alone, loss_alone = train(args, Path(folder) / "alone", [], "2")
            ranks, loss_ranks = train(args, Path(folder) / "ranks", ["launch", "--nproc", "2", "--"], "1")
            assert abs(loss_alone - loss_ranks) < 1e-4 * abs(loss_alone), (loss_alone, loss_ranks)
            ratios.append(alone / ranks)
            print(f"round {i}: one process {alone:.3f} s/step, two ranks {ranks:.3f} s/step, ratio {alone / ranks:.3f}")
    print(f"throughput of two ranks over one process: {statistics.median(ratios):.3f} (median of {args.rounds})")


if __name__ == "__main__":
    main()
