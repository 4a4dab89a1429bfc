#!/usr/bin/env bash
# From videos to official metrics, at a size for two cores: tokenizer, tokens, LVMAE and ARVideo on 128 frames, fine-tuning of
# each and of an encoder from scratch with the same budget, scores by the data set's protocol, a report. Three seeds. The
# commands are README's for the real data sets; only the presets and the `--set`s are smaller.
#
#   scripts/mission.sh dives OUT        synthetic dives in Diving48's annotation format
#   scripts/mission.sh kitchens OUT     synthetic kitchens in EPIC-KITCHENS-100's
#   STEPS, TUNE_STEPS, TOKENIZER_STEPS, SEEDS change the budget; what is there already is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
longvid=${LONGVID:-target/release/longvid}
mkdir -p "$out"

case $data in
  dives)
    [ -e "$out/videos" ] || "$longvid" data synth dives --place studio --num-train 320 --num-test 160 --num-sources-train 40 \
      --num-sources-test 20 --out "$out/videos"
    kind=diving48 train=Diving48_V2_train.json test=Diving48_V2_test.json folder=$out/videos/rgb protocol=diving48-v2
    tune=()
    ;;
  kitchens)
    [ -e "$out/videos" ] || "$longvid" data synth kitchens --num-train-videos 20 --num-val-videos 10 --out "$out/videos"
    kind=epic100 train=EPIC_100_train.csv test=EPIC_100_validation.csv folder=$out/videos protocol=epic100
    tune=(--set 'labels.spaces=["verb", "noun"]' --set 'labels.rare_classes="keep"')
    ;;
  *) echo "dives or kitchens, not $data" >&2 && exit 2 ;;
esac

import() { # name annotations
  [ -e "$out/$1.h5" ] || "$longvid" data import $kind "$out/videos/$2" --videos "$folder" --short-side 32 --out "$out/$1.h5"
}
import train "$train"
import test "$test"

# 16 x 4 x 4 tokens of 8 frames and 8 x 8 pixels.
clip=(--set clip.size_px=32 --set 'clip.patch=[8, 8, 8]')
stem=(--set 'tokenizer.stem_patch=[8, 8, 8]' --set 'tokenizer.scorer.strides=[[4, 4, 4], [2, 2, 2]]')
pretrain=(--set train.steps="${STEPS:-400}" --set train.batch=16 --set train.learning_rate=2e-3 --set train.warmup_steps=40)

for seed in ${SEEDS:-0 1 2}; do
  run=$out/seed$seed
  mkdir -p "$run"
  [ -e "$run/tokenizer/tokenizer.safetensors" ] || "$longvid" tokenizer train --preset tokenizer-tiny --set train.seed=$seed \
    --set train.steps="${TOKENIZER_STEPS:-400}" --set train.batch=4 "${clip[@]}" "${stem[@]}" --clips "$out/train.h5" \
    --out "$run/tokenizer"
  [ -e "$run/train.tokens.h5" ] || "$longvid" tokenizer encode --tokenizer "$run/tokenizer" --clips "$out/train.h5" \
    --out "$run/train.tokens.h5"
  for method in scratch lvmae arvideo; do
    case $method in
      scratch) from=(--from-scratch --set train.layer_decay=1.0) ;;
      lvmae) options=(--set 'model.encoder_mask={ kind = "tube", hidden_share = 0.75 }') ;;
      arvideo) options=(--set 'model.cluster=[4, 2, 2]') ;;
    esac
    if [ $method != scratch ]; then
      [ -e "$run/$method/encoder.safetensors" ] || "$longvid" pretrain --preset $method-tiny-128f --set train.seed=$seed \
        "${clip[@]}" "${options[@]}" "${pretrain[@]}" --clips "$out/train.h5" --tokens "$run/train.tokens.h5" --out "$run/$method"
      from=(--encoder "$run/$method" --set train.layer_decay=1.0)
    fi
    [ -e "$run/$method.tuned/eval_finetune.json" ] || "$longvid" eval finetune --preset finetune-tiny-128f "${from[@]}" \
      --set train.seed=$seed "${clip[@]}" "${tune[@]}" --set train.steps="${TUNE_STEPS:-300}" --set train.batch=16 \
      --train-clips "$out/train.h5" --test-clips "$out/test.h5" --out "$run/$method.tuned"
    [ -e "$run/$method.scored" ] || "$longvid" eval score --protocol $protocol --scores "$run/$method.tuned/scores.npz" \
      --annotations "$out/videos/$test" --clips "$out/test.h5" --out "$run/$method.scored"
  done
  "$longvid" report "$run/tokenizer" "$run"/*.tuned "$run"/*.scored "$run/lvmae" "$run/arvideo" --out "$run/report.html"
done
python3 scripts/seeds.py "$out"
