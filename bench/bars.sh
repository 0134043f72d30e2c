#!/usr/bin/env bash
# bars.sh BIN GGUF OUT [ROUNDS]: measures all that the kernels are held to on this
# machine and prints every bar: met, or missed. BIN is a folder with llama-bench and
# llama-batched-bench; GGUF is one for random dense models of the shape of Llama 3.2
# 1B, made here where they are not yet there (5 GB; see peers/llamacpp/random_gguf.py).
# armor-run is taken from the PATH. What was measured stays in OUT.
#
# 30 to 40 minutes on two processors with 3 rounds. ARMOR_ISA, as for armor-run, holds
# an older instruction set to its own bars.
set -euo pipefail
if [ $# -lt 3 ]; then
	echo "usage: bars.sh BIN GGUF OUT [ROUNDS]" >&2
	exit 2
fi
bin=$1 gguf=$2 out=$3 rounds=${4:-3}
here=$(dirname "$0")
mkdir -p "$gguf" "$out"

armor-run bench -q --bars --block 64 -n 16 -r "$rounds" >"$out/bars.md"
sed -n '/^## Bars/,$p' "$out/bars.md"

config=$out/config.json
armor-run bench --shape llama-3.2-1b --config >"$config"
for type in BF16=bf16 Q8_0=int8 Q4_0=int4; do
	file=$gguf/1b-${type%=*}.gguf
	if [ ! -e "$file" ]; then
		python3 "$here/peers/llamacpp/random_gguf.py" "$config" "${type%=*}" "$file.new"
		mv "$file.new" "$file"
	fi
	printf '\n## Against llama.cpp, the shape of Llama 3.2 1B, %s\n' "${type%=*}"
	BATCH=1,16 GENERATE=32 "$here/peers/llamacpp/run.sh" "$bin" "$file" "$out/${type%=*}" "$rounds" \
		--shape llama-3.2-1b --block 64 --dense "${type#*=}" --armor "${type#*=}" --no-stream
done

printf '\n## Allocations in a decode step\n'
(cd "$here/.." && go test -count 1 -run Allocs -v ./runtime) | grep -E '^(---|FAIL|ok)'
