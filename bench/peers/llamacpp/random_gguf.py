"""random_gguf.py CONFIG TYPE OUT: a dense model of random weights for llama-bench.

CONFIG is a config.json of a Llama (`armor-run bench --shape NAME --config` prints
one), TYPE is BF16, Q8_0 or Q4_0, as llama-quantize would make it: with Q4_0 the
embedding, which is also the head where they are tied, is Q6_K or, as here, Q8_0
(the gguf package quantizes no Q6_K; --head names another type). Speed does not
depend on the weights. There is no vocabulary: the file answers no prompt.

Needs the Python packages gguf and numpy.
"""

import argparse
import json

import gguf
import numpy as np


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("config")
    p.add_argument("type", choices=["BF16", "Q8_0", "Q4_0"])
    p.add_argument("out")
    p.add_argument("--head", help="the type of the embedding and the head (default: TYPE, Q8_0 beside Q4_0)")
    a = p.parse_args()
    with open(a.config, encoding="utf-8") as f:
        c = json.load(f)
    if c["model_type"] != "llama":
        p.error(f"{a.config}: got model_type {c['model_type']}, want llama")
    kind = gguf.GGMLQuantizationType[a.type]
    head = gguf.GGMLQuantizationType[a.head or {"Q4_0": "Q8_0"}.get(a.type, a.type)]

    dim, ff, vocab = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    heads, kv, size = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    w = gguf.GGUFWriter(a.out, "llama")
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(dim)
    w.add_block_count(c["num_hidden_layers"])
    w.add_feed_forward_length(ff)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_key_length(size)
    w.add_value_length(size)
    w.add_rope_dimension_count(size)
    w.add_rope_freq_base(c["rope_theta"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_vocab_size(vocab)
    w.add_file_type({"BF16": 32, "Q8_0": 7, "Q4_0": 2}[a.type])
    w.add_tokenizer_model("no_vocab")

    rng = np.random.default_rng(0)
    made = {}

    def matrix(name, rows, cols, quant):
        if (rows, cols, quant) not in made:  # speed does not depend on the weights
            made[rows, cols, quant] = gguf.quants.quantize(rng.standard_normal((rows, cols), dtype=np.float32) / 64, quant)
        w.add_tensor(name, made[rows, cols, quant], raw_dtype=quant)

    def norm(name):
        w.add_tensor(name, np.ones(dim, dtype=np.float32))

    matrix("token_embd.weight", vocab, dim, head)
    if not c["tie_word_embeddings"]:
        matrix("output.weight", vocab, dim, head)
    norm("output_norm.weight")
    for i in range(c["num_hidden_layers"]):
        layer = f"blk.{i}."
        norm(layer + "attn_norm.weight")
        norm(layer + "ffn_norm.weight")
        matrix(layer + "attn_q.weight", heads * size, dim, kind)
        matrix(layer + "attn_k.weight", kv * size, dim, kind)
        matrix(layer + "attn_v.weight", kv * size, dim, kind)
        matrix(layer + "attn_output.weight", dim, heads * size, kind)
        matrix(layer + "ffn_gate.weight", ff, dim, kind)
        matrix(layer + "ffn_up.weight", ff, dim, kind)
        matrix(layer + "ffn_down.weight", dim, ff, kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
