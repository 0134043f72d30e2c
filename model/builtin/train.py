#!/usr/bin/env python3
"""Trains the built-in model: text cleaning, BPE, training, export.

    python3 -m venv venv && venv/bin/pip install torch tokenizers safetensors numpy
    venv/bin/python train.py --data DATA/train --work WORK --out model --minutes 75

DATA/train holds train.txt, tinystories.txt and children.txt (sha256 below).
WORK takes the checkpoint and the log; the same command goes on from there.
The schedule runs by the share of the wall-clock budget that has passed
(--minutes, counted from the first start, or --until HH:MM), or by tokens
(--tokens N), which alone makes two runs on one machine comparable.
At the end, or with --export at any time, the model folder is written to --out
and stats.json beside it. Held-out bits per byte of a finished folder:

    venv/bin/python train.py --data DATA/train --out model --evaluate
"""

import argparse
import collections
import datetime
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SEED = 20261125
SHA256 = {
    "train.txt": "61cbc66bbe262ecddeffaf5af83f74e26ec36504e2dc4865e5f77e434c217757",
    "tinystories.txt": "f2b4e493cdbb347d0a36337d8fe3abf5da67a306e9dcbece489809f6326963b9",
    "children.txt": "d486d9a689dbc31bdbd259b04c1a1c60f0a5efbffbebc208f49998266e31204f",
}
END = "<|endoftext|>"  # id 0; before and after every document

VOCAB = 2048
DIM = 256
LAYERS = 6
HEADS = 4
KV_HEADS = 2
HEAD_DIM = 64
HIDDEN = 704
CONTEXT = 512
EPS = 1e-5
THETA = 10000.0

STEP_TOKENS = 4096
MUON_LR = 0.02
ADAM_LR = 2e-3
DECAY = 0.1
WARMUP = 100  # steps
HELD_OUT = 0.01
CONTINUED = 0.55  # of the schedule, where prose has ended

# ---------------------------------------------------------------- texts

ASCII = {
    "æ": "ae", "Æ": "Ae", "œ": "oe", "—": "--", "ï": "i", "Ï": "I", "ë": "e", "ö": "o", "Ö": "O",
    "ä": "a", "Ä": "A", "å": "a", "Å": "A", "é": "e", "è": "e", "ê": "e", "ü": "u", "ô": "o",
    "â": "a", "à": "a", "á": "a", "ā": "a", "û": "u", "ç": "c", "ÿ": "y", "ú": "u", "ó": "o",
    "î": "i", "ī": "i", "´": "'",
}

# Names in TinyStories are few and always the same, so whole sentences repeat.
# Every pass over the stories deals them out anew within each list: the first
# pass from the whole list, the later ones from a short one, because a model this
# small and shortly trained does not learn to carry one of a hundred names along.
# The short one has names that no "Once upon a time there was a little girl named"
# of the stories goes on with. Four more set phrases are loosened in those passes:
# the dog Spot, the place in "Once upon a time, in a small house, there was", the
# "One day" of nearly every story, and the big red ball.
GIRLS = """Lily Sue Mia Lucy Anna Amy Sally Sara Jane Sarah Daisy Lila Jill Molly Emma Bella Mary
Luna Jen Jenny Ella Ann Lisa Polly Tina Betty Susie Kate Penny Lola Kim Elly Emily Millie Julie
Jenna Alice Maria Poppy Tilly Ellie Milly Zara Lilly Annie Rosie Linda Zoe Lena Sophie Clara
Rachel""".split()
BOYS = """Tim Tom Ben Max Sam Timmy Bob Jack Billy John Joe Tommy Leo Benny Jimmy Jerry Bobby Jim
Sammy Jake Pete Peter Andy Fred Charlie Freddy Dave Bill Toby Alex Mike Joey Tony Henry George
Johnny Danny Ted Gary Robby James David Luke Harry Oliver Dan Finn Paul""".split()
FEW = {
    "girls": "Zoe Rosie Milly Lena Zara Tilly Betty Ella Luna Clara Emily".split(),
    "boys": "Dan Luke Oliver Finn Ted Tony Henry Fred Jimmy Leo Benny James".split(),
}
DOGS = "Spot Buddy Fluffy Rex Lucky Patch".split()
DAYS = ["One fine morning", "One bright morning", "One warm afternoon", "One summer evening", "One cold morning",
        "One quiet evening", "One windy morning", "One spring morning", "One rainy afternoon"]
LOOKS = ["small, blue", "round, green", "shiny, yellow", "soft, white", "new, orange", "little, brown", "bright, pink",
         "big, purple", "tiny, silver"]
PLACE = re.compile(r"^Once upon a time,? in an? [a-z ,]{3,40}?,? there (was|were|lived)\b")
NAME = re.compile(r"\b(" + "|".join(GIRLS + BOYS) + r")\b")

# Words that can stand for each other in nearly every sentence of the stories. The
# later passes exchange about half of them at random, so that no run of a dozen
# words is the likeliest one: the model shall write, not recite. The colours and
# the places of a story are exchanged alike all through it.
ALIKE = [c.split() for c in """big large huge
little small tiny
happy glad cheerful
pretty beautiful lovely
scared frightened
nice kind friendly
saw found noticed spotted
said replied
smiled laughed giggled
ran hurried rushed
went walked
very so really
yummy tasty delicious
started began
suddenly then
mom mommy mama
dad daddy papa
decided wanted
many lots-of
loved liked
shiny bright sparkly
looked peeked
picked-up took
sad unhappy
great wonderful
good fine
proud pleased
strong brave
children kids
""".strip().splitlines()]
ALIKE = [[w.replace("-", " ") for w in c] for c in ALIKE]
THROUGHOUT = [c.split() for c in (
    "red blue green yellow purple pink brown white", "park beach zoo forest garden farm lake field meadow playground",
    "dog cat bunny fox bear duck mouse frog squirrel bird", "spring summer winter", "cake pie bread soup pizza",
    "bus truck train boat")]
CLASS = {w: c for c in ALIKE for w in c}
EXCHANGE = re.compile(r"\b(" + "|".join(sorted(CLASS, key=len, reverse=True)) + r")\b", re.I)
FIXED = re.compile(r"\b(" + "|".join(w for c in THROUGHOUT for w in c) + r")(s?)\b", re.I)


def read(folder, name):
    raw = open(os.path.join(folder, name), "rb").read()
    got = hashlib.sha256(raw).hexdigest()
    if got != SHA256[name]:
        sys.exit(f"{name}: sha256 is {got}, want {SHA256[name]}")
    return [d.strip() for d in re.split(r"\n\n\n+", raw.decode()) if d.strip()]


def held_out(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") < HELD_OUT * 2**32


def clean_story(text):
    """A story of TinyStories: one line a paragraph."""
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r" *\n+ *", "\n", text).strip()


def clean_paragraph(text):
    """A paragraph of a book, or "" when it is a heading, verse or notes."""
    if "\n" in text or "=" in text or "http" in text or "Gutenberg" in text:
        return ""
    text = re.sub(r"\[[^\]]*\]|_", "", text)
    text = "".join(ASCII.get(c, c) for c in text)
    text = re.sub(r"\s+", " ", text).strip()
    if not text.isascii() or not re.search(r"[.!?][\"')]*$", text):
        return ""
    if re.match(r"(chapter|part|book|illustration|page|note)\b|[IVXLC]+\.|\d", text, re.I):
        return ""
    # "ONCE upon a time" opens many tales; a paragraph all in capitals is a heading.
    if sum(c.isupper() for c in text) > 0.4 * sum(c.isalpha() for c in text):
        return ""
    return re.sub(r"\b[A-Z]{2,}\b", lambda m: m[0] if re.fullmatch("[IVX]+", m[0]) else m[0].capitalize()
                  if m.start() < 2 else m[0].lower(), text)


def passages(docs, size=4000):
    """Books cut at paragraph ends into passages of about size characters."""
    for doc in docs:
        part, n = [], 0
        for p in map(clean_paragraph, re.split(r"\n\n", doc)):
            if not p:
                continue
            part.append(p)
            n += len(p)
            if n >= size:
                yield "\n".join(part)
                part, n = [], 0
        if n > 200:
            yield "\n".join(part)


def load_texts(folder):
    stories = [clean_story(d) for d in read(folder, "tinystories.txt")]
    prose = list(passages(read(folder, "train.txt") + read(folder, "children.txt")))
    # The plainer half of the prose: most words in common with the stories.
    plain = collections.Counter(w for s in stories for w in re.findall(r"[a-z']+", s.lower()))

    def score(p):
        words = re.findall(r"[a-z']+", p.lower())
        return sum(plain[w] >= 5 for w in words) / max(1, len(words))

    prose = sorted(prose, key=lambda p: (-score(p), p))[: len(prose) // 2]
    split = lambda docs: ([d for d in docs if not held_out(d)], [d for d in docs if held_out(d)])
    return split(stories), split(prose)


def rename(story, rng, few=False):
    found = set(NAME.findall(story))
    new = {}
    for names, short in ((GIRLS, FEW["girls"]), (BOYS, FEW["boys"])):
        old = sorted(n for n in found if n in names)
        new.update(zip(old, rng.sample(short if few and len(old) <= len(short) else names, len(old))))
    story = NAME.sub(lambda m: new[m[0]], story)
    if few:
        story = re.sub(r"\bSpot\b", rng.choice(DOGS), story)
        story = re.sub(r"\bOne day\b", lambda m: rng.choice(DAYS) if rng.random() < 0.85 else m[0], story)
        look = rng.choice(LOOKS)
        if rng.random() < 0.85:
            story = re.sub(r"\bbig,? red\b", look, story)
        if rng.random() < 0.8:
            story = PLACE.sub(r"Once upon a time, there \1", story)
        story = exchange(story, rng)
    return story


def exchange(story, rng):
    """Other words of the same kind, see ALIKE and THROUGHOUT."""
    like = lambda old, new: new.capitalize() if old[0].isupper() else new

    def one(m):
        if rng.random() < 0.5:
            return m[0]
        return like(m[0], rng.choice(CLASS[m[0].lower()]))

    story = EXCHANGE.sub(one, story)
    new = {}
    for c in THROUGHOUT:
        if rng.random() < 0.7:
            new.update(zip(c, rng.sample(c, len(c))))
    return FIXED.sub(lambda m: like(m[0], new.get(m[1].lower(), m[1].lower())) + m[2], story)


def without_stock(stories):
    """Stories without a run of 12 words that an earlier one has, names and
    the other loosened phrases aside."""
    seen, out = set(), []
    for story in stories:
        text = PLACE.sub("Once upon a time, there", story)
        text = re.sub(r"\b(Spot|One day|big,? red)\b", "@", NAME.sub("@", text))
        w = re.findall(r"[a-z']+|@", text.lower())
        runs = {hash(tuple(w[i : i + 12])) for i in range(len(w) - 11) if "@" not in w[i : i + 12]}
        if seen.isdisjoint(runs):
            out.append(story)
        seen |= runs
    return out


def train_bpe(stories, prose):
    rng = random.Random(SEED)
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", pair=f"{END} $A {END} $B", special_tokens=[(END, 0)])
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=[END], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    texts = [rename(s, rng) for s in stories] + rng.sample(prose, len(prose) // 8)
    tok.train_from_iterator(texts, trainer)
    return tok


def encode(tok, docs):
    out = [0]
    for e in tok.encode_batch(docs, add_special_tokens=False):
        out += e.ids
        out.append(0)
    return np.array(out, dtype=np.uint16)


class Data:
    """Rows of tokens: stories in shuffled passes, prose from anywhere."""

    def __init__(self, tok, stories, prose, continued=False):
        self.tok, self.stories, self.continued = tok, stories, continued
        self.later = without_stock(stories)  # for the passes after the first
        self.prose = encode(tok, prose)
        self.rng = np.random.default_rng(SEED)
        self.epoch, self.at, self.stream = -1, 0, np.zeros(0, np.uint16)

    def start(self, epoch, at):
        rng = random.Random(SEED + 1 + epoch)
        docs = [rename(s, rng, few=self.continued or epoch > 0) for s in (self.later if epoch else self.stories)]
        rng.shuffle(docs)
        self.stream = encode(self.tok, docs)
        self.epoch, self.at = epoch, at

    def story_row(self, n):
        if self.at + n + 1 > len(self.stream):
            self.start(self.epoch + 1, 0)
        row = self.stream[self.at : self.at + n + 1]
        self.at += n
        return row

    def batch(self, rows, n, prose_share):
        want = rows * prose_share
        k = int(want) + (self.rng.random() < want - int(want))
        out = []
        for _ in range(k):
            at = int(self.rng.integers(0, len(self.prose) - n - 1))
            out.append(self.prose[at : at + n + 1])
        while len(out) < rows:
            out.append(self.story_row(n))
        return torch.from_numpy(np.stack(out).astype(np.int64))

    def state(self):
        return {"epoch": self.epoch, "at": self.at, "rng": self.rng.bit_generator.state}

    def load(self, s):
        self.start(s["epoch"], s["at"])
        self.rng.bit_generator.state = s["rng"]


# ---------------------------------------------------------------- model

LINEAR = {
    "self_attn.q_proj": (HEADS * HEAD_DIM, DIM),
    "self_attn.k_proj": (KV_HEADS * HEAD_DIM, DIM),
    "self_attn.v_proj": (KV_HEADS * HEAD_DIM, DIM),
    "self_attn.o_proj": (DIM, HEADS * HEAD_DIM),
    "mlp.gate_proj": (HIDDEN, DIM),
    "mlp.up_proj": (HIDDEN, DIM),
    "mlp.down_proj": (DIM, HIDDEN),
}


def init_weights():
    g = torch.Generator().manual_seed(SEED)
    w = {"model.embed_tokens.weight": torch.randn(VOCAB, DIM, generator=g) * 0.02}
    for i in range(LAYERS):
        for name, (out, inp) in LINEAR.items():
            t = torch.randn(out, inp, generator=g) * inp**-0.5 * 0.7
            if name in ("self_attn.o_proj", "mlp.down_proj"):
                t.zero_()
            w[f"model.layers.{i}.{name}.weight"] = t
        for name in ("input_layernorm", "post_attention_layernorm"):
            w[f"model.layers.{i}.{name}.weight"] = torch.ones(DIM)
    w["model.norm.weight"] = torch.ones(DIM)
    return {k: v.requires_grad_() for k, v in w.items()}


def norm(x, w):
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * w


def rope_table(n):
    inv = THETA ** (-torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
    a = torch.outer(torch.arange(n).float(), inv)
    return torch.cat([a, a], -1).cos(), torch.cat([a, a], -1).sin()


def rotate(x, cos, sin):
    a, b = x.float().chunk(2, -1)
    return (torch.cat([a, b], -1) * cos + torch.cat([-b, a], -1) * sin).to(x.dtype)


def forward(w, ids, cos, sin, dtype):
    """Final hidden states. Products in dtype, the residual stream in float32."""
    b, n = ids.shape
    lin = lambda x, name: F.linear(x.to(dtype), w[name + ".weight"].to(dtype))
    x = F.embedding(ids, w["model.embed_tokens.weight"])
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        h = norm(x, w[p + "input_layernorm.weight"]).to(dtype)
        q = lin(h, p + "self_attn.q_proj").view(b, n, HEADS, HEAD_DIM).transpose(1, 2)
        k = lin(h, p + "self_attn.k_proj").view(b, n, KV_HEADS, HEAD_DIM).transpose(1, 2)
        v = lin(h, p + "self_attn.v_proj").view(b, n, KV_HEADS, HEAD_DIM).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(HEADS // KV_HEADS, 1)
        v = v.repeat_interleave(HEADS // KV_HEADS, 1)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + lin(a.transpose(1, 2).reshape(b, n, -1), p + "self_attn.o_proj").float()
        h = norm(x, w[p + "post_attention_layernorm.weight"]).to(dtype)
        h = F.silu(lin(h, p + "mlp.gate_proj")) * lin(h, p + "mlp.up_proj")
        x = x + lin(h, p + "mlp.down_proj").float()
    return norm(x, w["model.norm.weight"])


def logits(w, ids, cos, sin, dtype):
    x = forward(w, ids, cos, sin, dtype)
    return F.linear(x.to(dtype), w["model.embed_tokens.weight"].to(dtype)).float()


def loss_sum(w, ids, target, cos, sin, dtype):
    x = logits(w, ids, cos, sin, dtype)
    return F.cross_entropy(x.view(-1, VOCAB), target.reshape(-1), ignore_index=-1, reduction="sum")


@torch.no_grad()
def bits_per_byte(w, tok, docs, dtype=torch.bfloat16, limit=200_000):
    """Documents in windows of CONTEXT tokens, the end token counted too."""
    rows, size = [], 0
    for doc in docs:
        if size + len(doc.encode()) > limit:
            break
        size += len(doc.encode())
        ids = [0] + tok.encode(doc, add_special_tokens=False).ids + [0]
        for at in range(0, len(ids) - 1, CONTEXT):
            rows.append(ids[at : at + CONTEXT + 1])
    rows.sort(key=len)
    cos, sin = rope_table(CONTEXT)
    total = 0.0
    for at in range(0, len(rows), 16):
        part = rows[at : at + 16]
        n = max(map(len, part)) - 1
        x = torch.zeros(len(part), n, dtype=torch.long)
        y = torch.full((len(part), n), -1)
        for j, r in enumerate(part):
            x[j, : len(r) - 1] = torch.tensor(r[:-1])
            y[j, : len(r) - 1] = torch.tensor(r[1:])
        total += loss_sum(w, x, y, cos[:n], sin[:n], dtype).item()
    return total / math.log(2) / size


def held_out_bits(w, tok, stories, prose):
    """Of the weights as exported, computed in float32."""
    w = {k: v.detach().bfloat16().float() for k, v in w.items()}
    rng = random.Random(SEED)
    sets = {"stories": stories, "stories_names_dealt": [rename(s, rng, few=True) for s in stories], "prose": prose}
    return {k: round(bits_per_byte(w, tok, v, torch.float32, 10**9), 4) for k, v in sets.items()}


# ------------------------------------------------------------ optimiser

class Optimiser:
    """Muon for the matrices of the layers, AdamW for embedding and norms."""

    def __init__(self, w):
        self.w = w
        self.groups = collections.defaultdict(list)  # by shape, wide
        self.adam = []
        for name, t in w.items():
            if t.ndim == 2 and "layers" in name:
                flip = t.shape[0] > t.shape[1]
                self.groups[tuple(sorted(t.shape)), ].append((name, flip))
            else:
                self.adam.append(name)
        zeros = lambda: {n: torch.zeros_like(t, requires_grad=False) for n, t in w.items()}
        self.m, self.v, self.n = zeros(), {n: torch.zeros_like(w[n], requires_grad=False) for n in self.adam}, 0

    @torch.no_grad()
    def step(self, share):
        self.n += 1
        mu = 0.85 + 0.10 * min(1.0, self.n / 300)
        for group in self.groups.values():
            xs = []
            for name, flip in group:
                g, m = self.w[name].grad, self.m[name]
                m.lerp_(g, 1 - mu)
                u = g.lerp(m, mu)
                xs.append(u.t() if flip else u)
            x = torch.stack(xs).bfloat16()
            x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()
            for _ in range(5):  # Newton-Schulz towards the nearest orthogonal matrix
                a = x @ x.mT
                x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
            for (name, flip), u in zip(group, x):
                t = self.w[name]
                u = u.t() if flip else u
                lr = MUON_LR * share
                t.mul_(1 - lr * DECAY)
                t.add_(u.float(), alpha=-lr * max(1.0, t.shape[0] / t.shape[1]) ** 0.5)
        lr = ADAM_LR * share
        for name in self.adam:
            t, g, m, v = self.w[name], self.w[name].grad, self.m[name], self.v[name]
            m.lerp_(g, 0.1)
            v.lerp_(g * g, 0.05)
            if t.ndim == 2:
                t.mul_(1 - lr * DECAY)
            t.sub_(lr * (m / (1 - 0.9**self.n)) / ((v / (1 - 0.95**self.n)).sqrt() + 1e-8))
        for t in self.w.values():
            t.grad = None


# ------------------------------------------------------------- training

def learning_rate(share):
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def prose_share(share):
    """Prose first: 0.65 in the first third, down to 0 at half; then stories alone."""
    return 0.65 * min(1.0, max(0.0, (0.5 - share) * 6))


def export(w, tok, out, stats):
    os.makedirs(out, exist_ok=True)
    tensors = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in w.items()}
    save_file(tensors, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    os.chmod(os.path.join(out, "model.safetensors"), 0o644)
    tok.save(os.path.join(out, "tokenizer.json"), pretty=False)

    def put(name, value):
        with open(os.path.join(out, name), "w") as f:
            json.dump(value, f, indent=2)
            f.write("\n")

    put("config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
        "vocab_size": VOCAB, "hidden_size": DIM, "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM, "hidden_act": "silu", "rms_norm_eps": EPS, "rope_theta": THETA,
        "max_position_embeddings": CONTEXT, "tie_word_embeddings": True, "attention_bias": False,
        "mlp_bias": False, "bos_token_id": 0, "eos_token_id": 0})
    put("generation_config.json", {
        "bos_token_id": 0, "eos_token_id": 0, "do_sample": True,
        "temperature": 0.8, "top_k": 40, "top_p": 0.95})
    put("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT,
        "bos_token": END, "eos_token": END, "add_bos_token": True, "add_eos_token": False,
        "clean_up_tokenization_spaces": False})
    if stats:
        here = os.path.join(os.path.dirname(os.path.abspath(out)), "stats.json")
        with open(here, "w") as f:
            json.dump(stats, f, indent=1)
            f.write("\n")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--data", required=True)
    ap.add_argument("--work")
    ap.add_argument("--out", required=True)
    ap.add_argument("--minutes", type=float)
    ap.add_argument("--until", help="HH:MM today")
    ap.add_argument("--tokens", type=int)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--no-compile", action="store_true")
    ap.add_argument("--continue-from", metavar="MODEL", help="begin with a finished model, at CONTINUED of the schedule")
    ap.add_argument("--export", action="store_true", help="write the checkpoint as it is and end")
    ap.add_argument("--texts", action="store_true", help="write stories.jsonl (trained on) and heldout.txt to --out and end")
    ap.add_argument("--evaluate", action="store_true", help="held-out bits per byte of --out")
    ap.add_argument("--bench", type=int, default=0, help="time this many steps and end")
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    (stories, story_test), (prose, prose_test) = load_texts(args.data)
    if args.texts:
        os.makedirs(args.out, exist_ok=True)
        with open(os.path.join(args.out, "stories.jsonl"), "w") as f:
            f.writelines(json.dumps({"text": s}) + "\n" for s in stories)
        with open(os.path.join(args.out, "heldout.txt"), "w") as f:
            f.write("\n\n\n".join(story_test))
        return
    if args.evaluate:
        tok = Tokenizer.from_file(os.path.join(args.out, "tokenizer.json"))
        w = load_file(os.path.join(args.out, "model.safetensors"))
        print("held-out bits per byte", held_out_bits(w, tok, story_test, prose_test))
        return
    if not args.work:
        ap.error("--work: missing")
    os.makedirs(args.work, exist_ok=True)
    state_file = os.path.join(args.work, "state.pt")
    tok_file = os.path.join(args.work, "tokenizer.json")
    if args.continue_from and not os.path.exists(tok_file):
        shutil.copy(os.path.join(args.continue_from, "tokenizer.json"), tok_file)
    if not os.path.exists(tok_file):
        train_bpe(stories, prose).save(tok_file)
    tok = Tokenizer.from_file(tok_file)
    w = init_weights()
    opt = Optimiser(w)
    log_file = open(os.path.join(args.work, "log.txt"), "a", buffering=1)

    def say(*a):
        print(*a, flush=True)
        print(datetime.datetime.now().strftime("%H:%M:%S"), *a, file=log_file)

    say(f"{sum(t.numel() for t in w.values())} weights; {len(stories)}+{len(story_test)} stories,",
        f"{len(prose)}+{len(prose_test)} passages of prose")
    step, tokens, started, curve = 0, 0, time.time(), []
    if args.continue_from:
        if not args.tokens:
            ap.error("--continue-from: wants --tokens")
        tokens = int(CONTINUED * args.tokens)
        for k, t in load_file(os.path.join(args.continue_from, "model.safetensors")).items():
            w[k].data.copy_(t.float())
    state = torch.load(state_file, weights_only=False) if os.path.exists(state_file) else None
    if state:
        for k, t in state["w"].items():
            w[k].data.copy_(t)
        step, tokens, started, curve = (state[k] for k in ("step", "tokens", "started", "curve"))
        say(f"goes on from step {step}")

    def stats():
        return {
            "weights": sum(t.numel() for t in w.values()), "seed": SEED, "steps": step, "tokens": tokens,
            "minutes": round((os.path.getmtime(state_file) - started) / 60, 1), "text_sha256": SHA256,
            "documents": {"stories": len(stories), "stories_held_out": len(story_test),
                          "prose_passages": len(prose), "prose_held_out": len(prose_test)},
            "held_out_bits_per_byte": held_out_bits(w, tok, story_test, prose_test),
            "curve": curve}

    if args.export:
        s = stats()
        export(w, tok, args.out, s)
        say("held-out bits per byte", s["held_out_bits_per_byte"])
        return

    data = Data(tok, stories, prose, bool(args.continue_from))
    if state:
        data.load(state["data"])
        opt.n = state["n"]
        for mine, saved in ((opt.m, state["m"]), (opt.v, state["v"])):
            for k, t in saved.items():
                mine[k].copy_(t)
        del state
    if args.until:
        h, m = map(int, args.until.split(":"))
        end = datetime.datetime.now().replace(hour=h, minute=m, second=0).timestamp()
    else:
        end = started + 60 * (args.minutes or 60)

    def save():
        torch.save({"w": {k: t.detach() for k, t in w.items()}, "m": opt.m, "v": opt.v, "n": opt.n,
                    "step": step, "tokens": tokens, "started": started, "curve": curve,
                    "data": data.state()}, state_file + ".new")
        os.replace(state_file + ".new", state_file)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    run = loss_sum if args.no_compile else torch.compile(loss_sum, dynamic=False)
    saved = shown = time.time()
    recent, since, evals = [], tokens, time.time()
    bench_at = step
    while not stop:
        now = time.time()
        share = tokens / args.tokens if args.tokens else (now - started) / (end - started)
        if share >= 1:
            break
        n = CONTEXT // 2 if share < 0.7 else CONTEXT
        batch = data.batch(STEP_TOKENS // n, n, prose_share(share))
        cos, sin = rope_table(n)
        loss = run(w, batch[:, :-1].contiguous(), batch[:, 1:].contiguous(), cos, sin, torch.bfloat16) / STEP_TOKENS
        loss.backward()
        opt.step(learning_rate(share) * min(1.0, (step + 1) / WARMUP))
        step += 1
        tokens += STEP_TOKENS
        recent.append(loss.item())
        now = time.time()
        if args.bench:
            say(f"step {step} {now - shown:.2f} s loss {recent[-1]:.3f}")
            shown = now
            if step - bench_at >= args.bench:
                return
        elif now - shown >= 30:
            say(f"step {step} share {share:.3f} tokens {tokens/1e6:.2f}M pass {data.epoch}",
                f"loss {np.mean(recent):.3f} {(tokens-since)/(now-shown):.0f} tok/s")
            curve.append([step, tokens, round(float(np.mean(recent)), 4)])
            recent, since, shown = [], tokens, now
        if not args.bench and now - evals >= 240:
            b = [bits_per_byte(w, tok, t, limit=60_000) for t in (story_test, prose_test)]
            say(f"step {step} held-out bits per byte: stories {b[0]:.3f} prose {b[1]:.3f}")
            curve.append([step, tokens, "held-out", round(b[0], 4), round(b[1], 4)])
            evals = time.time()
        if now - saved >= 170:
            save()
            saved = now
    save()
    if stop:
        say("stopped; the same command goes on")
        return
    s = stats()
    export(w, tok, args.out, s)
    say("done; held-out bits per byte", s["held_out_bits_per_byte"])


if __name__ == "__main__":
    main()
