package nn

import (
	"fmt"
	"strings"

	"armor/kernels"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// Loader reads a decoder's parts from a checkpoint into a backend. After the
// first error its methods return nothing; Finish returns that error.
type Loader struct {
	ck      *checkpoint.Checkpoint
	b       kernels.Backend
	weights Weights
	storage storage
	armor   *armorfmt.Config // nil for a dense model
	instead map[string]kernels.Matrix
	err     error
}

// NewLoader reads from ck into b, and keeps matrices as w says.
func NewLoader(ck *checkpoint.Checkpoint, b kernels.Backend, w Weights) *Loader {
	l := &Loader{ck: ck, b: b, weights: w, storage: storage{}}
	l.armor, l.err = armorfmt.ReadConfig(ck)
	return l
}

// Instead has weights [out, in] of modules computed in place of the checkpoint's.
func (l *Loader) Instead(weights map[string]kernels.Matrix) { l.instead = weights }

// Finish returns the first error, or one that names a tensor nobody asked for.
func (l *Loader) Finish() error {
	if l.err != nil {
		return l.err
	}
	for _, name := range l.ck.Unused() {
		// Older converters stored this table, which follows from the config.
		if t, _ := l.ck.Tensor(name); t.Bytes() > 0 && !strings.HasSuffix(name, ".rotary_emb.inv_freq") {
			return fmt.Errorf("%s: tensor %s: not part of this architecture", l.ck.Path, strictjson.Name(l.ck.StoredName(name)))
		}
	}
	return nil
}

func (l *Loader) need(name string, shape ...int) *checkpoint.Tensor {
	if l.err != nil {
		return nil
	}
	t, err := l.ck.Need(name, shape...)
	if err != nil {
		l.err = err
	}
	return t
}

// Linear reads module, [out, in].
func (l *Loader) Linear(module string, out, in int, bias bool) Linear {
	instead := l.instead[module]
	if instead == nil && l.armor != nil && l.armor.Pruned(module) {
		return l.pruned(module, out, in, bias)
	}
	d := &Dense{Module: module, Instead: instead}
	switch {
	case instead != nil: // nothing of the checkpoint's is read
	case l.armor != nil && l.armor.Quantized(module):
		d.Codes = l.quantized(module, out, in)
	default:
		d.Weight = l.need(module+".weight", out, in)
	}
	if bias {
		d.Bias = l.vector(module+".bias", out)
	}
	return d
}

func (l *Loader) quantized(module string, out, in int) *armorfmt.Quantized {
	if l.err != nil {
		return nil
	}
	q, err := armorfmt.OpenQuantized(l.ck, l.armor, module, out, in)
	if err != nil {
		l.err = err
	}
	return q
}

func (l *Loader) pruned(module string, out, in int, bias bool) Linear {
	a := &Armor{}
	if l.err == nil {
		a.Module, l.err = armorfmt.Open(l.ck, l.armor, module, out, in)
	}
	if bias {
		a.Bias = l.vector(module+".bias", out)
	}
	return a
}

// vector reads a one-dimensional tensor of n.
func (l *Loader) vector(name string, n int) []float32 {
	t := l.need(name, n)
	if t == nil {
		return nil
	}
	v := make([]float32, n)
	if err := t.ReadRows(v, 0, 1); err != nil {
		l.err = err
	}
	return v
}

// Group packs linear layers that read the same x.
func (l *Loader) Group(linears ...Linear) kernels.Group {
	if l.err != nil {
		return nil
	}
	parts := make([]kernels.Part, len(linears))
	for i, lin := range linears {
		parts[i] = lin.part(l.b.Compute(), l.weights)
	}
	l.storage.note(parts)
	g, err := l.b.NewGroup(parts...)
	if err != nil {
		l.err = fmt.Errorf("%s: %w", l.ck.Path, err)
		return nil
	}
	return g
}

// Norm reads the weight of an RMSNorm over n.
func (l *Loader) Norm(module string, n int, eps float32) kernels.RMSNorm {
	w := l.vector(module+".weight", n)
	if l.err != nil {
		return kernels.RMSNorm{}
	}
	buf, err := l.b.Upload(1, n, w)
	if err != nil {
		l.err = fmt.Errorf("%s: %w", l.ck.Path, err)
	}
	return kernels.RMSNorm{Weight: buf, Eps: eps}
}

// Extras are the parts of a layer that not every family has.
type Extras struct {
	QKVBias, OBias bool
	QKNorm         bool
}

// Decoder reads a decoder under the tensor names that Llama, Qwen2 and Qwen3
// share in Hugging Face's folders.
func (l *Loader) Decoder(c Config, x Extras) (*Decoder, error) {
	d := &Decoder{Config: c, Layers: make([]Layer, c.Layers)}
	d.Embedding = l.Group(l.Linear("model.embed_tokens", c.Vocab, c.Dim, false))
	for i := range d.Layers {
		d.Layers[i], _ = l.Layer(i, c, x)
	}
	d.Norm = l.Norm("model.norm", c.Dim, c.Eps)
	if c.Tied {
		d.Head = d.Embedding
		l.ck.Tensor("lm_head.weight") // some folders store it all the same
	} else {
		d.Head = l.Group(l.Linear("lm_head", c.Vocab, c.Dim, false))
	}
	// Llama 3's GGUF files have this in place of rope_scaling.
	if name := "rope_freqs.weight"; l.ck.GGUF() != nil && l.ck.Has(name) {
		d.RopeFactors = l.ropeFactors(name, c.HeadDim/2)
	}
	d.Storage = l.storage.String()
	return d, l.Finish()
}

// ropeFactors reads what rotary frequencies are divided by.
func (l *Loader) ropeFactors(name string, n int) []float32 {
	factors := l.vector(name, n)
	const least, most = 1e-3, 1e6
	for i, f := range factors {
		if l.err == nil && !(f >= least && f <= most) {
			l.err = fmt.Errorf("%s: tensor %s: element %d: got %v, want %g to %g", l.ck.Path, name, i, f, least, most)
		}
	}
	return factors
}

// Layer reads layer i alone.
func (l *Loader) Layer(i int, c Config, x Extras) (Layer, error) {
	var y Layer
	name := fmt.Sprintf("model.layers.%d.", i)
	attn, mlp := name+"self_attn.", name+"mlp."
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	y.AttnNorm = l.Norm(name+"input_layernorm", c.Dim, c.Eps)
	y.QKV = l.Group(
		l.Linear(attn+"q_proj", q, c.Dim, x.QKVBias),
		l.Linear(attn+"k_proj", kv, c.Dim, x.QKVBias),
		l.Linear(attn+"v_proj", kv, c.Dim, x.QKVBias))
	if x.QKNorm {
		y.QNorm = l.Norm(attn+"q_norm", c.HeadDim, c.Eps)
		y.KNorm = l.Norm(attn+"k_norm", c.HeadDim, c.Eps)
	}
	y.O = l.Group(l.Linear(attn+"o_proj", c.Dim, q, x.OBias))
	y.MLPNorm = l.Norm(name+"post_attention_layernorm", c.Dim, c.Eps)
	y.GateUp = l.Group(
		l.Linear(mlp+"gate_proj", c.FF, c.Dim, false),
		l.Linear(mlp+"up_proj", c.FF, c.Dim, false))
	y.Down = l.Group(l.Linear(mlp+"down_proj", c.Dim, c.FF, false))
	return y, l.err
}
