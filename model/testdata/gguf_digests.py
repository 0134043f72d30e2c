#!/usr/bin/env python3
"""Print the SHA-256 of every tensor of a GGUF file as gguf-py dequantizes it.

    python gguf_digests.py FILE

A line for each tensor: its Hugging Face name, the digest of its elements as
little-endian float32, with the rows of q and k in Hugging Face's order where
the architecture is llama. Needs pip install gguf numpy (made with gguf 0.19).
"""

import hashlib
import re
import sys

import gguf
import numpy as np

TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
BLOCK = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def hf_name(name):
    base, kind = name.rsplit(".", 1)
    layer = re.fullmatch(r"blk\.(\d+)\.(.*)", base)
    if layer:
        return f"model.layers.{layer[1]}.{BLOCK[layer[2]]}.{kind}"
    return f"{TOP[base]}.{kind}" if base in TOP else name


def main():
    reader = gguf.GGUFReader(sys.argv[1])

    def key(name):
        return reader.fields[name].contents()

    heads = {}
    if key("general.architecture") == "llama":
        heads = {"attn_q": key("llama.attention.head_count"), "attn_k": key("llama.attention.head_count_kv")}
    for tensor in reader.tensors:
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        n = heads.get(tensor.name.split(".")[-2])
        if n:
            half = data.shape[0] // n // 2
            data = data.reshape(n, half, 2, -1).swapaxes(1, 2)
        print(hf_name(tensor.name), hashlib.sha256(np.ascontiguousarray(data, "<f4").tobytes()).hexdigest())


if __name__ == "__main__":
    main()
