#!/usr/bin/env bash
# table.sh MODEL DATA OUT WINDOWS BLOCK ROWS...: prunes MODEL once for each row and
# compares perplexities with the dense model's, on the first WINDOWS windows of
# 1,024 tokens of WikiText-2. A row is NAME=FLAGS of armor-prune run. Programs are
# taken from the PATH.
set -euo pipefail
model=$1 data=$2 out=$3 windows=$4 block=$5
shift 5
mkdir -p "$out"
for row in "$@"; do
	name=${row%%=*} flags=${row#*=}
	dir=$out/$name
	if [ ! -e "$dir/config.json" ]; then
		begin=$(date +%s)
		# shellcheck disable=SC2086
		armor-prune run -q --calib "$data/calibration/calibration.jsonl" --samples 16 --block "$block" $flags "$model" "$dir" >"$dir.log"
		echo $(($(date +%s) - begin)) >"$dir.seconds"
	fi
	if [ ! -e "$dir.json" ]; then
		armor-run perplexity -q --json -m "$dir" --against "$model" -f "$data/wikitext2/test.txt" --ctx 1024 --windows "$windows" >"$dir.json.new"
		mv "$dir.json.new" "$dir.json"
	fi
	python3 - "$name" "$dir" <<'P'
import json, math, os, sys
name, path = sys.argv[1:]
r = json.load(open(path + ".json"))
a = r["against"]
size = sum(os.path.getsize(os.path.join(path, f)) for f in os.listdir(path) if f.endswith(".safetensors"))
report = json.load(open(path + "/armor_report.json"))
predicted = report.get("prediction")
print(f"| {name} | {size/1e6:.1f} | {r['ppl']:.2f} | {math.log(a['ppl_ratio']):.4f} ± {a['ppl_ratio_error']/a['ppl_ratio']:.4f} | {a['kl']:.4f} | {100*a['top1']:.1f} |"
      f" {math.log(predicted['predicted_ppl_ratio']):.4f} |" if predicted else
      f"| {name} | {size/1e6:.1f} | {r['ppl']:.2f} | {math.log(a['ppl_ratio']):.4f} ± {a['ppl_ratio_error']/a['ppl_ratio']:.4f} | {a['kl']:.4f} | {100*a['top1']:.1f} | |",
      open(path + ".seconds").read().strip(), "s", "dense", f"{a['ppl']:.3f}", flush=True)
P
done
