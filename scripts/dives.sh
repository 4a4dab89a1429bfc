#!/usr/bin/env bash
# Do priorities find what moves, and what are they worth? Synthetic dives, filmed from a tripod and by a hand that pans after the
# diver; the same preset on both, three seeds. The test dives choose nothing.
#
#   scripts/dives.sh OUT
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
longvid=${LONGVID:-target/release/longvid}
preset=${PRESET:-tokenizer-dives}
side=$("$longvid" tokenizer train --preset "$preset" --clips none --out none --dry-run | sed -n 's/^size_px = //p')
mkdir -p "$out"

for camera in ${CAMERAS:-still follow}; do
  dives=$out/$camera
  "$longvid" data synth dives --camera $camera --num-classes 4 --num-train 192 --num-test 24 --num-sources-train 96 \
    --num-sources-test 6 --seed 1 --masks --out "$dives"
  for part in train test; do
    [ -e "$out/$camera.$part.h5" ] || "$longvid" data import diving48 "$dives/Diving48_V2_$part.json" --videos "$dives/rgb" \
      --short-side "$side" --out "$out/$camera.$part.h5"
  done
  for seed in ${SEEDS:-0 1 2}; do
    run=$out/$camera.seed$seed
    [ -e "$run/tokenizer.safetensors" ] || "$longvid" tokenizer train --preset "$preset" --set train.seed="$seed" \
      --clips "$out/$camera.train.h5" --out "$run"
    [ -e "$run/tokenizer_eval.json" ] || "$longvid" tokenizer eval --tokenizer "$run/tokenizer.safetensors" \
      --clips "$out/$camera.test.h5" --masks "$dives/masks" --kept 0.05,0.15,0.5,1.0 --seeds 1
  done
done

python3 - "$out" "${CAMERAS:-still follow}" ${SEEDS:-0 1 2} <<'PY'
import json, statistics, sys

out, cameras, seeds = sys.argv[1], sys.argv[2].split(), sys.argv[3:]


def spread(values):
    return f"{statistics.mean(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})"


for camera in cameras:
    runs = [json.load(open(f"{out}/{camera}.seed{seed}/tokenizer_eval.json")) for seed in seeds]
    for whose in ("priorities", "pixel_motion"):
        print(f"{camera}: AUC of {whose}: {spread([run['mask'][whose]['mean'] for run in runs])}")
    for row in runs[0]["rows"]:
        key = (row["selection"], row["kept"])
        same = [next(r for r in run["rows"] if (r["selection"], r["kept"]) == key) for run in runs]
        print(f"{camera}: {row['kept']:.2f} kept, {row['selection']}: PSNR {spread([r['psnr_db'] for r in same])} dB")
    for gain in runs[0]["gains"]:
        key = (gain["over"], gain["kept"])
        same = [next(g for g in run["gains"] if (g["over"], g["kept"]) == key) for run in runs]
        print(f"{camera}: {gain['kept']:.2f} kept, adaptive over {gain['over']}: {spread([g['psnr_db'] for g in same])} dB")
PY
