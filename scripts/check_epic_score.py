#!/usr/bin/env python3
"""Compares `longvid eval score` with what the official C1 code of EPIC-KITCHENS-100 gave for the same scores, digit by digit.

    python3 scripts/check_epic_score.py REFERENCE ANNOTATIONS [--program target/release/longvid]

REFERENCE    a folder of NAME_narration_ids.txt, NAME_verb_f32le_97.bin, NAME_noun_f32le_300.bin, NAME_official_metrics.json
ANNOTATIONS  the folder of the official EPIC-KITCHENS-100 annotations
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("reference", type=Path)
parser.add_argument("annotations", type=Path)
parser.add_argument("--program", default="target/release/longvid")
args = parser.parse_args()

differ = compared = 0
for official in sorted(args.reference.glob("*_official_metrics.json")):
    name = official.name.removesuffix("_official_metrics.json")
    # The reference holds a sample of the validation segments: the others do not count.
    command = [args.program, "eval", "score", "--protocol", "epic100", "--missing", "left-out", "--json"]
    command += ["--scores", args.reference / f"{name}_narration_ids.txt", "--annotations", args.annotations]
    command += ["--out", "target/check_epic_score"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    (found,) = json.loads(result.stdout)
    values = {}
    for metric in found["evaluation"]["outcomes"][0]["metrics"]:
        values.setdefault(f"{metric['subset']}.{metric['target']}", []).append(metric["value"])
    for key, want in json.loads(official.read_text())["metrics"].items():
        compared += 1
        differ += values[key] != want
        print(f"{name} {key:14} {'equal' if values[key] == want else 'DIFFERENT'}  {want}  {values[key]}")
print(f"{compared} compared, {differ} different")
sys.exit(1 if differ or not compared else 0)
