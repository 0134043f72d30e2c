#!/usr/bin/env python3
"""Make variants.json.gz: what the Hugging Face tokenizers library does with
settings that the other golden files do not have.

    python make_variants.py

Needs pip install tokenizers (made with 0.23.3). Each variant is a base file
here with some top-level keys replaced ("set") and keys of its model replaced
("model"). Cases: text, ids (special tokens parsed), plain (special tokens as
text, where different), full (with the post-processor's, where different), and
the decoded text with and without special tokens.

Left out is the decoding of normalized added tokens under the normalizer of
Llama 2: version 0.23 spells them as normalized ("\u2581word" for "word") and
does not skip them where they are special.
"""

import copy
import gzip
import json
import pathlib
import random

from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"[一-龥ࠀ-一가-퟿]+"]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def split(*patterns):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in patterns] + [BYTES]}


def added(content, id, **flags):
    return {"id": id, "content": content, "special": True, "lstrip": False, "rstrip": False,
            "single_word": False, "normalized": False, **flags}


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def template(prefix, suffix, ids):
    token = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    return {"type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "single": [*map(token, prefix), {"Sequence": {"id": "A", "type_id": 0}}, *map(token, suffix)],
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in ids.items()}}


ADDED = [added("<|endoftext|>", 508), added("<|im_start|>", 509, lstrip=True), added("<|im_end|>", 510, rstrip=True),
         added("<|pad|>", 511, lstrip=True, rstrip=True, special=False), added("<|pad|>x", 512, special=False),
         added("word", 513, single_word=True, special=False), added("é", 514, normalized=True, special=False),
         added("W é", 515, normalized=True), added("<", 516, special=False), added(" two", 517, special=False)]
LLAMA = [added("<unk>", 0), added("<s>", 1), added("</s>", 2, rstrip=True)]

VARIANTS = {
    "gpt2": ("tiny", {"normalizer": None, "pre_tokenizer": {**BYTES, "use_regex": True}}, {}),
    "gpt2-split": ("tiny", {"normalizer": None, "pre_tokenizer": split(GPT2)}, {}),
    "gpt2-prefix": ("tiny", {"pre_tokenizer": {**BYTES, "add_prefix_space": True, "use_regex": True}}, {}),
    "digit-runs": ("tiny", {"normalizer": {"type": "Sequence", "normalizers": []}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": False}, {**BYTES, "add_prefix_space": True}]}}, {}),
    "o200k": ("tiny", {"pre_tokenizer": split(O200K)}, {}),
    "deepseek": ("tiny", {"normalizer": None, "pre_tokenizer": split(*DEEPSEEK)}, {}),
    "added": ("tiny", {"added_tokens": ADDED}, {}),
    "post": ("tiny", {"post_processor": template(["<|im_start|>", "<|pad|>"], ["<|im_end|>"], {
        "<|im_start|>": 509, "<|im_end|>": 510, "<|pad|>": 511})}, {}),
    "byte-unk": ("tiny", {}, {"unk_token": "a", "fuse_unk": False, "drop": ["b", "Ġ", "Ã", "0"]}),
    "byte-unk-fused": ("tiny", {}, {"unk_token": "a", "fuse_unk": True, "drop": ["b", "c", "Ġ", "Ã", "0"]}),
    "byte-missing": ("tiny", {}, {"drop": ["b", "Ġ", "Ã", "0"]}),
    "meta-always": ("metaspace", {"pre_tokenizer": metaspace("always", True), "decoder": metaspace("always", True)}, {}),
    "meta-first": ("metaspace", {"pre_tokenizer": metaspace("first", True), "decoder": metaspace("first", True)}, {}),
    "meta-never": ("metaspace", {"pre_tokenizer": metaspace("never", False), "decoder": metaspace("never", False)}, {}),
    "llama-added": ("legacy", {"added_tokens": LLAMA + [added("of", 2000, normalized=True, special=False), added("word", 2001, normalized=True)]}, {}),
    "llama-unk": ("legacy", {}, {"byte_fallback": False}),
    "llama-unk-single": ("legacy", {}, {"byte_fallback": False, "fuse_unk": False}),
    "llama-some-bytes": ("legacy", {}, {"drop": ["<0xE6>", "<0xF0>"]}),
    "llama-ignore": ("metaspace", {"pre_tokenizer": metaspace("first", True)}, {"ignore_merges": True}),
    "llama-strip": ("legacy", {"decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Replace", "pattern": {"String": "e"}, "content": "é"},
        {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 2, "stop": 0}]}}, {}),
    "llama-nofuse": ("legacy", {"decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}]}}, {}),
}

BITS = ["the", "The", "of", "word", "words", "word_", "two", " two", "W é", "W e\u0301", "é", "e\u0301", "HELLO", "it's", "IT'S", "we'LL", "x'ſ", "'S", "'re", "'",
        "''", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", "1", "12", "123", "1234", "٣٤", "½", "Ⅷ", "²",
        "中文", "人工智能", "日本", "한국어", "\u1100\u1161\u11a8", "ü", "ß", "Å", "ﬁ", "😀", "👨\u200d👩", "\U0001d11e", "a\u0323\u0302", "\u0301", "q\u0323\u0307",
        "\u0344", "\u0958", "\u2126", "a" + "\u0301\u0323" * 20, "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", "<|pad|>x", "<|pad", "<s>", "</s>",
        "<unk>", "<0x41>", "▁", "▁▁", "a▁b", ".", "...", "!?", "/", "//\n", "-", "_", "a_b", "foo(bar)", "{}", "\u0000", "\x7f", "\ufffd", "ǅ", "ʰ", "ா", "Ⓐ", "€", "+="]


def texts():
    rng = random.Random(5)
    out = list(BITS)
    for n in range(70):
        out.append("".join(rng.choice(BITS) for _ in range(2 + n // 5)))
    return out


def main():
    bases = {n: json.loads(gzip.decompress((HERE / f).read_bytes())) for n, f in {
        "tiny": "tiny.json.gz", "legacy": "llama2-legacy.json.gz", "metaspace": "llama2-metaspace.json.gz"}.items()}
    rng = random.Random(6)
    variants = []
    for name, (base, top, model) in VARIANTS.items():
        value = copy.deepcopy(bases[base])
        value.update(top)
        model = dict(model)
        drop = set(model.pop("drop", []))
        value["model"].update(model)
        if drop:
            vocab, pairs = value["model"]["vocab"], [m.split(" ") if isinstance(m, str) else m for m in value["model"]["merges"]]
            lost = {t for t in vocab if t in drop or (len(t) < 6 and drop & set(t))}
            value["model"]["merges"] = [m for m in pairs if not lost & {*m, "".join(m)}]
            value["model"]["vocab"] = {t: i for i, t in enumerate(t for t in vocab if t not in lost)}
            top = {**top, "added_tokens": value["added_tokens"]}
        number = max(value["model"]["vocab"].values())
        for a in value["added_tokens"]:  # as the library numbers them, whatever the file says
            number += a["content"] not in value["model"]["vocab"]
            a["id"] = value["model"]["vocab"].get(a["content"], number)
        tokenizer = Tokenizer.from_str(json.dumps(value))
        for a in value["added_tokens"]:
            assert tokenizer.token_to_id(a["content"]) == a["id"], (name, a, tokenizer.token_to_id(a["content"]))
        cases, size = [], tokenizer.get_vocab_size()
        for text in texts():
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            full = tokenizer.encode(text).ids
            tokenizer.encode_special_tokens = True
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = False
            case = {"text": text, "ids": ids}
            if name != "llama-added":
                case["decoded"] = tokenizer.decode(ids, skip_special_tokens=False)
                case["skip"] = tokenizer.decode(ids, skip_special_tokens=True)
            case.update({"plain": plain} if plain != ids else {})
            case.update({"full": full} if full != ids else {})
            cases.append(case)
        decode = []
        for n in range(60 if name != "llama-added" else 0):
            ids = [rng.randrange(min(size, 300) if n % 2 else size) for _ in range(1 + n % 7)]
            decode.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                           "skip": tokenizer.decode(ids, skip_special_tokens=True)})
        variants.append({"name": name, "base": base, "set": {k: value[k] for k in top}, "model": {
            **model, **({k: value["model"][k] for k in ("vocab", "merges")} if drop else {})}, "cases": cases, "decode": decode})
        print(name, len(cases), "cases", sum("plain" in c for c in cases), "plain", sum("full" in c for c in cases), "full")
    blob = gzip.compress(json.dumps(variants).encode(), 9, mtime=0)
    (HERE / "variants.json.gz").write_bytes(blob)
    print(len(blob), "bytes")


main()
