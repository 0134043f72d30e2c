#!/usr/bin/env bash
# run.sh BIN GGUF OUT ROUNDS [FLAG...]: in each of ROUNDS rounds runs llama-bench,
# llama-batched-bench (both from the folder BIN, on the dense model GGUF) and
# armor-run bench (from the PATH, with the FLAGs: -m MODEL, --against, --shape …)
# one after another with the same threads, and prints the ratios of their medians.
# What they printed stays in the folder OUT.
#
# Environment: THREADS (default: all processors), PROMPT (512), GENERATE (128),
# BATCH (1,4,16). Flags are those of llama.cpp's READMEs of tools/llama-bench and
# tools/batched-bench.
set -euo pipefail
if [ $# -lt 4 ]; then
	echo "usage: run.sh BIN GGUF OUT ROUNDS [FLAG of armor-run bench ...]" >&2
	exit 2
fi
bin=$1 gguf=$2 out=$3 rounds=$4
shift 4
threads=${THREADS:-$(getconf _NPROCESSORS_ONLN)} prompt=${PROMPT:-512} generate=${GENERATE:-128} batch=${BATCH:-1,4,16}
for tool in "$bin/llama-bench" "$bin/llama-batched-bench" armor-run python3; do
	command -v "$tool" >/dev/null || { echo "run.sh: $tool is missing" >&2; exit 1; }
done
[ -f "$gguf" ] || { echo "run.sh: $gguf: no such file" >&2; exit 1; }
mkdir -p "$out"
most=$(tr , '\n' <<<"$batch" | sort -n | tail -1)
rm -f "$out"/round-*
for ((round = 0; round < rounds; round++)); do
	at=$out/round-$round
	# -d: a decode begins after the prompt, as armor-run's does.
	"$bin/llama-bench" -m "$gguf" -t "$threads" -r 1 -o json -p "$prompt" -n 0 >"$at.prefill.json" 2>"$at.log"
	"$bin/llama-bench" -m "$gguf" -t "$threads" -r 1 -o json -p 0 -n "$generate" -d "$prompt" >"$at.decode.json" 2>>"$at.log"
	"$bin/llama-batched-bench" -m "$gguf" -t "$threads" -tb "$threads" -c $((most * (prompt + generate))) -b 2048 -ub 512 \
		-npp "$prompt" -ntg "$generate" -npl "$batch" --output-format jsonl >"$at.batched.jsonl" 2>>"$at.log"
	armor-run bench -q "$@" --threads "$threads" -p "$prompt" -n "$generate" -b "$batch" -r 1 -o json >"$at.armor.json"
done
python3 "$(dirname "$0")/compare.py" "$out"
