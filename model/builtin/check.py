#!/usr/bin/env python3
"""Checks the text that the built-in model writes.

    python3 check.py --data DATA/train --bin ./armor-run --model model

Runs the program with 20 seeds, 80 tokens each, default sampling, and prints
the paragraphs, the share of their words that the training text has, and the
longest run of words that stands in the training text too (prompt included).
Ends with status 1 under 98 % or at a run of 12 words. Needs numpy.
"""

import argparse
import os
import re
import subprocess
import sys

import numpy as np

WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")
KEY = 5  # runs shorter than this are not looked for


def words(text):
    return [w.lower() for w in WORD.findall(text)]


def keys(ids):
    """One number for every KEY words in a row."""
    n = len(ids) - KEY + 1
    out = np.zeros(max(n, 0), np.uint64)
    for j in range(KEY if n > 0 else 0):
        out = out * np.uint64(1_000_003) + ids[j : j + n].astype(np.uint64)
    return out


def longest(ids, text, order, sorted_keys):
    """The longest run of ids in text: length and where it starts in ids."""
    best, at = 0, 0
    for i, k in enumerate(keys(ids)):
        lo, hi = np.searchsorted(sorted_keys, [k, k + np.uint64(1)])
        for p in order[lo:hi]:
            n = 0
            while i + n < len(ids) and p + n < len(text) and ids[i + n] == text[p + n]:
                n += 1
            if n > best:
                best, at = n, i
    return best, at


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", required=True)
    ap.add_argument("--bin", required=True, help="the armor-run program")
    ap.add_argument("--model", required=True)
    ap.add_argument("--prompt", default="Once upon a time")
    ap.add_argument("--seeds", type=int, default=20)
    ap.add_argument("--first", type=int, default=1, help="first seed")
    ap.add_argument("--tokens", type=int, default=80)
    args = ap.parse_args()

    vocab, text = {}, []
    for name in ("tinystories.txt", "train.txt", "children.txt"):
        for w in words(open(os.path.join(args.data, name), encoding="utf-8").read()):
            text.append(vocab.setdefault(w, len(vocab)))
    text = np.array(text, np.int64)
    k = keys(text)
    order = np.argsort(k, kind="stable")
    sorted_keys = k[order]

    total, known, worst, spans = 0, 0, 0, 0
    for seed in range(args.first, args.first + args.seeds):
        run = subprocess.run(
            [args.bin, "generate", "-q", "-m", args.model, "--seed", str(seed), "-n", str(args.tokens), args.prompt],
            capture_output=True, text=True, check=True)
        out = run.stdout.strip()
        if not out.startswith(args.prompt):
            out = args.prompt + run.stdout.rstrip()
        ws = words(out)
        if run.stdout and out[-1].isalpha():
            ws = ws[:-1]  # the last word may be cut
        missing = [w for w in ws if w not in vocab]
        ids = np.array([vocab.get(w, -1 - i) for i, w in enumerate(ws)], np.int64)
        n, at = longest(ids, text, order, sorted_keys)
        total += len(ws)
        known += len(ws) - len(missing)
        worst = max(worst, n)
        spans += n >= 12
        print(f"--- seed {seed}: {len(ws)} words; longest run {n}: {' '.join(ws[at:at+n])}",
              f"; unknown: {missing}" if missing else "", sep="")
        print(out + "\n")
    share = 100 * known / max(1, total)
    print(f"{total} words, {share:.2f} % in the training text; longest run {worst} words; {spans} paragraphs with 12 or more")
    sys.exit(share < 98 or worst >= 12)


if __name__ == "__main__":
    main()
