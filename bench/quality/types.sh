#!/usr/bin/env bash
# types.sh MODEL DATA OUT WINDOWS BLOCK ROWS...: prunes MODEL once into OUT/bf16 and
# stores that anew for each row NAME=FLAGS of armor-prune quantize; compares
# perplexities with that of OUT/bf16, on the first WINDOWS windows of 1,024 tokens of
# WikiText-2. Programs are taken from the PATH.
set -euo pipefail
model=$1 data=$2 out=$3 windows=$4 block=$5
shift 5
calib="--calib $data/calibration/calibration.jsonl --samples 16"
mkdir -p "$out"
for row in bf16= "$@"; do
	name=${row%%=*} flags=${row#*=}
	dir=$out/$name
	if [ ! -e "$dir/config.json" ]; then
		# shellcheck disable=SC2086
		if [ "$name" = bf16 ]; then
			armor-prune run -q $calib --block "$block" "$model" "$dir" >"$dir.log"
		else
			armor-prune quantize -q --dense "$model" $calib $flags "$out/bf16" "$dir" >"$dir.log"
		fi
	fi
	if [ ! -e "$dir.ppl.json" ]; then
		armor-run perplexity -q --json -m "$dir" -f "$data/wikitext2/test.txt" --ctx 1024 --windows "$windows" >"$dir.ppl.json.new"
		mv "$dir.ppl.json.new" "$dir.ppl.json"
	fi
	python3 - "$name" "$out" "$flags" <<'P'
import json, math, sys
name, out, flags = sys.argv[1:]
read = lambda n: json.load(open(f"{out}/{n}.ppl.json"))
report = json.load(open(f"{out}/{name}/armor_report.json"))
r, base = read(name), read("bf16")
diff = [(a - b) / n for a, b, n in zip(r["window_nll"], base["window_nll"], r["window_tokens"])]
mean = sum(diff) / len(diff)
error = math.sqrt(sum((d - mean) ** 2 for d in diff) / (len(diff) - 1) / len(diff))
modules = report["modules"]
packed = sum(m["bytes_" + k] for m in modules for k in ("values", "index", "wrappers", "scales"))
bits = 16 * packed / sum(m["bytes_dense"] for m in modules)
loss = sum(m["loss_rounded"] for m in modules) / len(modules)
print(f"| {name} | {report['bytes_packed']/1e6:.1f} | {bits:.2f} | {loss:.4f} | {r['ppl']:.2f} | {mean:+.4f} ± {error:.4f} | `{flags}` |", flush=True)
P
done
