#!/usr/bin/env python3
"""Write gguf_blocks.json.gz: blocks of every GGUF type and their values.

    python make_gguf_blocks.py

For each type random bytes, with scales from random normals to the extremes of
float16 (zeros, subnormals, the largest, infinities, NaN), as base64, and what
gguf-py's quants.py makes of them, as base64 of little-endian float32. Needs
pip install gguf numpy; the committed file was made with gguf 0.19.
"""

import base64
import gzip
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

# Where a block has float16 scales.
SCALES = {
    T.F32: [], T.F16: [], T.BF16: [], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}
EXTREME = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00]


def blocks_of(kind, rng):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = 256 if elements == 1 else 20 if elements == 32 else 12
    data = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for i, at in enumerate(SCALES[kind]):
        scales = rng.normal(0, 0.02, count).astype(np.float16).view(np.uint16)
        # The extremes of two scales run in opposite directions.
        extreme = EXTREME if i == 0 else EXTREME[::-1]
        scales[: len(extreme)] = extreme
        data[:, at : at + 2] = scales.astype("<u2").view(np.uint8).reshape(count, 2)
    return data


def main():
    rng = np.random.default_rng(1)
    out = {}
    for kind in SCALES:
        data = blocks_of(kind, rng)
        with np.errstate(all="ignore"):
            values = gguf.quants.dequantize(data, kind).astype("<f4")
        out[kind.name] = {
            "type": int(kind),
            "blocks": base64.b64encode(data.tobytes()).decode(),
            "values": base64.b64encode(values.tobytes()).decode(),
        }
    blob = gzip.compress(json.dumps(out).encode(), 9, mtime=0)
    (Path(__file__).parent / "gguf_blocks.json.gz").write_bytes(blob)
    print(len(blob), "bytes")


if __name__ == "__main__":
    main()
