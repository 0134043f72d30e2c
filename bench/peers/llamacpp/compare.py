"""compare.py OUT: the table of ratios from what run.sh left in the folder OUT, and for
random weights (armor-run bench --shape) the bars that they are held to."""

import glob
import json
import os
import statistics
import sys


# Our type beside a rival's, by the end of llama-bench's model_type. BF16 has no bar of
# ARMOR's: its decode is slow.
TYPES = {"BF16": "bf16", "F16": "bf16", "Q8_0": "int8", "Q4_0": "int4"}
CODED = ("int8", "int4")
# Of what bytes allow, a decode of one sequence must reach so much; a prefill and a
# decode of 16 sequences must be so many times as fast, with AMX and without.
SHARE = 0.9
GAINS = {("prefill", 1): (3, 1.2), ("decode", 16): (3, 1.3)}


def fail(message):
    sys.exit("compare.py: " + message)


def llama_bench(path):
    """Yields (test, sequences, tokens/s) of llama-bench -o json, a list of results."""
    with open(path, encoding="utf-8") as f:
        results = json.load(f)
    for r in results:
        if r["n_prompt"] > 0 and r["n_gen"] > 0:
            continue  # -pg measures both together
        yield ("prefill", 1, r["avg_ts"]) if r["n_prompt"] > 0 else ("decode", 1, r["avg_ts"])


def batched_bench(path):
    """Yields (test, sequences, tokens/s) of llama-batched-bench --output-format jsonl.

    It prints other lines, too, and speed_tg is of all sequences together."""
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("{"):
                r = json.loads(line)
                yield "decode", r["pl"], r["speed_tg"]


def add(speeds, model, rows):
    for test, batch, speed in rows:
        speeds.setdefault((test, batch), {}).setdefault(model, []).append(speed)


def bar(model, rival, backend, test, batch):
    """Gives what model : rival must be at least, 0 for anything."""
    kind = model.get("type")
    if kind is None or kind != TYPES.get(rival["model_type"].split()[-1]):
        return 0
    if not model["armor"]:
        return 1
    if kind not in CODED:
        return 0
    if (test, batch) == ("decode", 1):
        return SHARE * rival["model_size"] / model["token_bytes"]
    amx, other = GAINS.get((test, batch), (0, 0))
    return amx if backend.startswith("cpu amx") else other


def collect(out):
    """Gives {(test, sequences): {model: [tokens/s of each round]}}, the machine, and
    the bar for a model in a test."""
    rounds = sorted(glob.glob(os.path.join(out, "round-*.armor.json")))
    if not rounds:
        fail(f"{out}: no round-*.armor.json")
    speeds, machine, types, models, backend, rival = {}, "", set(), {}, "", {}
    for path in rounds:
        base = path.removesuffix(".armor.json")
        for part in ("prefill", "decode"):
            add(speeds, "llama.cpp", llama_bench(f"{base}.{part}.json"))
            with open(f"{base}.{part}.json", encoding="utf-8") as f:
                results = json.load(f)
            rival = results[0]
            types.update(f"{r['model_type']}, {r['n_threads']} threads, build {r['build_commit']}" for r in results)
        add(speeds, "llama.cpp, batched", batched_bench(f"{base}.batched.jsonl"))
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        models = {m["name"]: m for m in report["models"]}
        backend = report["rows"][0]["backend"]
        machine = f"{report['machine']['cpu']}, {len(rounds)} rounds; llama.cpp: {'; '.join(sorted(types))}; armor-run: {backend}"
        for row in report["rows"]:
            add(speeds, row["model"], [(row["test"], row["batch"], row["tokens_per_second"])])
    return speeds, machine, lambda model, test, batch: bar(models[model], rival, backend, test, batch)


def main():
    if len(sys.argv) != 2:
        fail("usage: compare.py OUT")
    try:
        speeds, machine, wanted = collect(sys.argv[1])
    except (OSError, ValueError) as e:
        fail(str(e))
    except KeyError as e:
        fail(f"{sys.argv[1]}: no key {e} in an output: is it of another version?")
    print(machine)
    print("\n| test | rival | tokens/s | model | tokens/s | model : rival | bar |\n| --- | --- | --: | --- | --: | --: | --- |")
    for (test, batch), models in speeds.items():
        rivals = [m for m in models if m.startswith("llama.cpp")]
        for rival in rivals:
            for model in models:
                if model in rivals:
                    continue
                theirs, ours = statistics.median(models[rival]), statistics.median(models[model])
                ratio = ours / theirs if theirs > 0 else float("nan")
                least = wanted(model, test, batch)
                verdict = f"≥ {least:.2f}, {'met' if ratio >= least else 'missed'}" if least else ""
                print(f"| {test} × {batch} | {rival} | {theirs:.1f} | {model} | {ours:.1f} | {ratio:.2f} | {verdict} |")


if __name__ == "__main__":
    main()
