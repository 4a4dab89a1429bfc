#!/usr/bin/env bash
# Check on real labelled video: egocentric gestures, 10 classes, split by recording session (groups 1 to 10 to train on,
# 11 to 14 to test on). Tokenizer and LVMAE see the training groups alone; the probes are ridge regression and k-NN on
# frozen features, beside an encoder of random weights. Three seeds. The test clips choose nothing.
#
#   scripts/egogestar.sh FOLDER OUT     FOLDER holds the clips and labels.csv (path,label,group)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 out=$2
longvid=${LONGVID:-target/release/longvid}
mkdir -p "$out"

import() { # name groups
  [ -e "$out/$1.h5" ] || "$longvid" data import csv "$folder/labels.csv" --videos "$folder" --exclude-labels unclassified \
    --groups "$2" --short-side 64 --out "$out/$1.h5"
}
import train 1,2,3,4,5,6,7,8,9,10
import test 11,12,13,14

for seed in 0 1 2; do
  run=$out/seed$seed
  mkdir -p "$run"
  [ -e "$run/tokenizer/tokenizer.safetensors" ] || "$longvid" tokenizer train --preset tokenizer-tiny --set train.seed=$seed \
    --set train.steps="${TOKENIZER_STEPS:-450}" \
    --clips "$out/train.h5" --out "$run/tokenizer"
  [ -e "$run/tokens.h5" ] || "$longvid" tokenizer encode --tokenizer "$run/tokenizer/tokenizer.safetensors" \
    --clips "$out/train.h5" --out "$run/tokens.h5"
  [ -e "$run/lvmae/encoder.safetensors" ] || "$longvid" pretrain --preset lvmae-tiny-128f --set train.seed=$seed \
    --set train.steps="${STEPS:-400}" --clips "$out/train.h5" --tokens "$run/tokens.h5" --out "$run/lvmae"
  for probe in ${PROBES:-linear knn}; do
    "$longvid" eval $probe --encoder "$run/lvmae/encoder.safetensors" --seed $seed \
      --train-clips "$out/train.h5" --test-clips "$out/test.h5"
  done
done

python3 - "$out" <<'PY'
import json, os, statistics, sys
print(f"{'probe':8} {'encoder':16} {'top-1 mean':>10} {'sd':>6}  seeds")
for probe in os.environ.get("PROBES", "linear knn").split():
    by_encoder = {}
    for seed in range(3):
        results = json.load(open(f"{sys.argv[1]}/seed{seed}/lvmae/eval_{probe}.json"))
        for row in results["rows"]:
            by_encoder.setdefault(row["encoder"], []).append(row)
    for encoder, rows in by_encoder.items():
        top1 = [row["accuracy"] for row in rows]
        each = ", ".join(f"{x:.3f}" for x in top1)
        print(f"{probe:8} {encoder:16} {statistics.mean(top1):10.3f} {statistics.stdev(top1):6.3f}  {each}")
    print(f"{probe:8} {'chance':16} {rows[0]['chance']:10.3f}")
PY
