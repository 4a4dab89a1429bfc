#!/usr/bin/env bash
# Trains across two "hosts": network namespaces with an address each, joined by a virtual cable. Needs root and `ip`.
#
#   scripts/two_hosts.sh
#
# 1. Two ranks on two hosts take the steps of one process: the losses of ten steps agree to 1e-5.
# 2. The cable is pulled in the middle of a run: both ranks end soon after the timeout and name the other.
# 3. One process goes on from the last checkpoint of the two.
set -euo pipefail
cd "$(dirname "$0")/.."
longvid=$(realpath "${LONGVID:-target/release/longvid}")
timeout_secs=5
host_a=longvid-a-$$ host_b=longvid-b-$$
work=$(mktemp -d)

cleanup() {
  for host in $host_a $host_b; do
    ip netns pids $host 2> /dev/null | xargs -r kill -9 || true
    ip netns del $host 2> /dev/null || true
  done
  rm -rf "$work"
}
trap cleanup EXIT

fail() {
  echo "FAILED: $1" >&2
  tail -n 3 "$work"/*.err >&2
  exit 1
}

# wait_for COMMAND...: until it succeeds, for a minute.
wait_for() {
  for _ in $(seq 600); do
    "$@" && return
    sleep 0.1
  done
  fail "not within a minute: $*"
}

# rank RANK STEPS OUT: one rank on its host; the shell of a background job becomes the program.
rank() {
  local hosts=("$host_a" "$host_b")
  export RANK=$1 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 LONGVID_DIST_TIMEOUT=$timeout_secs
  exec ip netns exec "${hosts[$1]}" "$longvid" "${train[@]}" --set train.steps="$2" --out "$3" > "rank$1.out" 2> "rank$1.err"
}

losses() {
  sed 's/.*"loss":\([-0-9.e]*\),.*/\1/' "$1/metrics.jsonl"
}

last_step() {
  sed -n '$s/{"step":\([0-9]*\),.*/\1/p' "$1/metrics.jsonl"
}

ip netns add $host_a
ip netns add $host_b
ip -n $host_a link add cable type veth peer name cable netns $host_b
ip -n $host_a address add 10.77.0.1/24 dev cable
ip -n $host_b address add 10.77.0.2/24 dev cable
for host in $host_a $host_b; do
  ip -n $host link set lo up
  ip -n $host link set cable up
done

cd "$work"
"$longvid" data synth dives --out dives --num-train 8 --num-test 4 --num-classes 4 --num-sources-train 2 \
  --num-sources-test 2 --size-px 32 > synth.out 2> synth.err || fail "synthetic dives"
"$longvid" data import diving48 dives/Diving48_V2_train.json --videos dives/rgb --short-side 32 --out train.h5 \
  > import.out 2> import.err || fail "import"
# The tokenizer at toy size.
train=(tokenizer train --preset tokenizer-tiny --clips train.h5 --threads 1 --device cpu
  --set clip.num_frames=32 --set clip.size_px=32 --set tokenizer.base_channels=8 --set tokenizer.channel_mult=[1,1]
  --set tokenizer.stem_patch=[2,4,4] --set tokenizer.strides=[[1,2,2]]
  --set train.batch=2 --set train.warmup_steps=1 --set train.log_every=1)

echo "1. two hosts against one process"
"$longvid" "${train[@]}" --set train.steps=10 --out alone > alone.out 2> alone.err || fail "one process"
rank 0 10 shared & rank_0=$!
rank 1 10 shared & rank_1=$!
wait $rank_1 || fail "rank 1"
wait $rank_0 || fail "rank 0"
paste <(losses alone) <(losses shared) | awk '
  { off = $1 - $2; if (off < 0) off = -off; if (off > worst) worst = off }
  END { printf "   losses of %d steps differ by at most %.1e\n", NR, worst; exit NR != 10 || worst > 1e-5 }' || fail "losses"

echo "2. the cable is pulled"
rank 0 100000 cut & rank_0=$!
rank 1 100000 cut & rank_1=$!
wait_for compgen -G "cut/checkpoints/*.safetensors" > checkpoints.out
ip -n $host_b link set cable down
SECONDS=0
wait $rank_0 && fail "rank 0 ended well without rank 1"
wait $rank_1 && fail "rank 1 ended well without rank 0"
took=$SECONDS
tail -q -n 1 rank0.err rank1.err
[ $took -le $((timeout_secs + 10)) ] || fail "it took $took s"
grep -q "rank 1 cannot be reached" rank0.err || fail "rank 0 does not name rank 1"
grep -q "rank 0 cannot be reached" rank1.err || fail "rank 1 does not name rank 0"
echo "   both ended after $took s with a timeout of $timeout_secs s"

echo "3. one process goes on"
was=$(last_step cut)
"$longvid" "${train[@]}" --set train.steps=100000 --out cut --resume > resumed.out 2> resumed.err & resumed=$!
is_further() { [ "$(last_step cut)" -gt "$was" ] 2> /dev/null; }
wait_for is_further
kill -INT $resumed
code=0
wait $resumed || code=$?
[ $code = 130 ] || fail "an interrupted run ended with $code"
echo "   $(tail -n 1 resumed.err)"
