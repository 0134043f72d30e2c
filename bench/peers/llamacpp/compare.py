"""compare.py OUT: the table of ratios from what run.sh left in the folder OUT."""

import glob
import json
import os
import statistics
import sys


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


def collect(out):
    """Gives {(test, sequences): {model: [tokens/s of each round]}} and the machine."""
    rounds = sorted(glob.glob(os.path.join(out, "round-*.armor.json")))
    if not rounds:
        fail(f"{out}: no round-*.armor.json")
    speeds, machine, types = {}, "", set()
    for path in rounds:
        base = path.removesuffix(".armor.json")
        for part in ("prefill", "decode"):
            add(speeds, "llama.cpp", llama_bench(f"{base}.{part}.json"))
            with open(f"{base}.{part}.json", encoding="utf-8") as f:
                types.update(f"{r['model_type']}, {r['n_threads']} threads, build {r['build_commit']}" for r in json.load(f))
        add(speeds, "llama.cpp, batched", batched_bench(f"{base}.batched.jsonl"))
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        machine = f"{report['machine']['cpu']}, {len(rounds)} rounds; llama.cpp: {'; '.join(sorted(types))}; armor-run: {report['rows'][0]['backend']}"
        for row in report["rows"]:
            add(speeds, row["model"], [(row["test"], row["batch"], row["tokens_per_second"])])
    return speeds, machine


def main():
    if len(sys.argv) != 2:
        fail("usage: compare.py OUT")
    try:
        speeds, machine = collect(sys.argv[1])
    except (OSError, ValueError) as e:
        fail(str(e))
    except KeyError as e:
        fail(f"{sys.argv[1]}: no key {e} in an output: is it of another version?")
    print(machine)
    print("\n| test | rival | tokens/s | model | tokens/s | model : rival |\n| --- | --- | --: | --- | --: | --: |")
    for (test, batch), models in speeds.items():
        rivals = [m for m in models if m.startswith("llama.cpp")]
        for rival in rivals:
            for model in models:
                if model in rivals:
                    continue
                theirs, ours = statistics.median(models[rival]), statistics.median(models[model])
                ratio = ours / theirs if theirs > 0 else float("nan")
                print(f"| {test} × {batch} | {rival} | {theirs:.1f} | {model} | {ours:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
