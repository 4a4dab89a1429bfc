#!/usr/bin/env bash
# Check on real labelled video: egocentric gestures, 10 classes, split by recording session (groups 1 to 10 to train on,
# 11 to 14 to test on). Tokenizer and pre-training see the training groups alone, with the clips of no class; then an encoder
# from scratch and one of each method are fine-tuned with the same budget, and their frozen features probed. 16 frames of
# 32 x 32 pixels over the whole gesture, 128 tokens. Three seeds. The test clips choose nothing.
#
#   scripts/egogestar.sh FOLDER OUT     FOLDER holds the clips and labels.csv (path,label,group)
#   STEPS, TUNE_STEPS, TOKENIZER_STEPS, SEEDS change the budget; what is there already is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 out=$2
longvid=${LONGVID:-target/release/longvid}
mkdir -p "$out"

import() { # name groups options
  [ -e "$out/$1.h5" ] || "$longvid" data import csv "$folder/labels.csv" --videos "$folder" --groups "$2" --short-side 32 \
    --out "$out/$1.h5" "${@:3}"
}
import pretrain 1,2,3,4,5,6,7,8,9,10
import train 1,2,3,4,5,6,7,8,9,10 --exclude-labels unclassified
import test 11,12,13,14 --exclude-labels unclassified

clip=(--set clip.size_px=32 --set clip.num_frames=16)
crop=(--set 'augment.crop={ kind = "random_resized", scale = [0.5, 1.0], ratio = [0.75, 1.33] }')
pretrain=(--set train.steps="${STEPS:-1000}" --set train.batch=16 --set train.learning_rate=2e-3 --set train.warmup_steps=100)
tube=(--set 'model.encoder_mask={ kind = "tube", hidden_share = 0.75 }')

for seed in ${SEEDS:-0 1 2}; do
  run=$out/seed$seed
  mkdir -p "$run"
  [ -e "$run/tokenizer/tokenizer.safetensors" ] || "$longvid" tokenizer train --preset tokenizer-tiny --set train.seed=$seed \
    --set train.steps="${TOKENIZER_STEPS:-1000}" --set train.batch=8 "${clip[@]}" "${crop[@]}" --clips "$out/pretrain.h5" \
    --out "$run/tokenizer"
  tokenizer=(--tokenizer "$run/tokenizer/tokenizer.safetensors")
  for method in scratch videomae lvmae arvideo; do
    case $method in
      scratch) from=(--from-scratch --set train.layer_decay=1.0) ;;
      videomae) options=(--preset videomae-tiny-16f "${tube[@]}") ;;
      lvmae) options=(--preset lvmae-tiny-128f "${tube[@]}" "${tokenizer[@]}") ;;
      arvideo) options=(--preset arvideo-tiny-128f --set 'model.cluster=[2, 2, 2]' "${tokenizer[@]}") ;;
    esac
    if [ $method != scratch ]; then
      [ -e "$run/$method/encoder.safetensors" ] || "$longvid" pretrain "${options[@]}" --set train.seed=$seed "${clip[@]}" \
        "${crop[@]}" "${pretrain[@]}" --clips "$out/pretrain.h5" --out "$run/$method"
      [ -e "$run/$method/eval_linear.json" ] || "$longvid" eval linear --encoder "$run/$method" --seed $seed \
        --train-clips "$out/train.h5" --test-clips "$out/test.h5"
      from=(--encoder "$run/$method" --set train.layer_decay=1.0)
    fi
    [ -e "$run/$method.tuned/eval_finetune.json" ] || "$longvid" eval finetune --preset finetune-tiny-16f "${from[@]}" \
      --set train.seed=$seed "${clip[@]}" "${crop[@]}" --set train.steps="${TUNE_STEPS:-800}" --set train.warmup_steps=100 \
      --train-clips "$out/train.h5" --test-clips "$out/test.h5" --out "$run/$method.tuned"
  done
done
python3 scripts/seeds.py "$out"
