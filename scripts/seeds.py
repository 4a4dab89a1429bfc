#!/usr/bin/env python3
"""Tables of a folder `seed0/RUN/eval_*.json`, `seed1/RUN/...`: mean, standard deviation and each seed, of every row that `longvid eval`
wrote. `low` and `high` are the means of the seeds' own intervals over test clips."""
import json
import pathlib
import statistics
import sys

if len(sys.argv) != 2:
    sys.exit(__doc__)
found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("seed*/*/eval_*.json")):
    results = json.loads(path.read_text())
    for row in results["rows"]:
        # The choice of a penalty or rate differs between seeds; what is probed does not.
        probe = row["probe"] if results["probe"] == "finetune" else results["probe"]
        found.setdefault((probe, path.parent.name.removesuffix(".tuned"), row["encoder"]), []).append(row)
if not found:
    sys.exit(f"no seed*/*/eval_*.json in {sys.argv[1]}")

print("| probe | run | encoder | top-1, mean | sd | interval | mean class | chance | seeds |")
print("|---|---|---|---:|---:|---:|---:|---:|---|")
for (probe, run, encoder), rows in sorted(found.items()):
    mean = {key: statistics.mean(row[key] for row in rows) for key in ("accuracy", "low", "high", "mean_class", "chance")}
    spread = f"{statistics.stdev(row['accuracy'] for row in rows):.3f}" if len(rows) > 1 else ""
    each = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
    interval = f"{mean['low']:.2f} to {mean['high']:.2f}"
    numbers = f"{mean['accuracy']:.3f} | {spread} | {interval} | {mean['mean_class']:.3f} | {mean['chance']:.3f}"
    print(f"| {probe} | {run} | {encoder} | {numbers} | {each} |")
