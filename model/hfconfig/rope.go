package hfconfig

import (
	"slices"

	"armor/model/checkpoint/strictjson"
	"armor/model/nn"
)

const defaultTheta = 10000

// rope reads both spellings: rope_theta with rope_scaling, and since
// transformers 5 rope_parameters, which holds all of it.
func (r *Reader) rope() nn.RopeConfig {
	r.wholeRotary(r.keys)
	theta := r.FloatOr("rope_theta", defaultTheta, 1, nn.MaxTheta)
	old := r.ropeIn("rope_scaling", theta, "")
	if r.err != nil || !r.keys.Set("rope_parameters") {
		return old
	}
	c := r.ropeIn("rope_parameters", theta, "default")
	// Transformers prefers the old spelling, other engines the new one.
	switch {
	case r.err != nil:
	case r.keys.Set("rope_scaling") && c != old:
		r.fail(r.keys.Errorf("rope_parameters", "differs from rope_scaling, want one of them"))
	case r.keys.Has("rope_theta") && c.Theta != theta:
		r.fail(r.keys.Errorf("rope_parameters.rope_theta", "got %g, want rope_theta %g", c.Theta, theta))
	}
	return c
}

// ropeIn reads one of the two objects; untyped stands for an absent rope_type.
func (r *Reader) ropeIn(key string, theta float64, untyped string) nn.RopeConfig {
	c := nn.RopeConfig{Theta: theta}
	if r.err != nil || !r.keys.Set(key) {
		return c
	}
	keys, err := r.keys.Object(key)
	if err != nil {
		r.fail(err)
		return c
	}
	r.wholeRotary(keys)
	in := Reader{keys: keys, err: r.err}
	c.Theta = in.FloatOr("rope_theta", theta, 1, nn.MaxTheta)
	in.ropeScaling(&c, untyped)
	r.fail(in.err)
	return c
}

func (r *Reader) ropeScaling(c *nn.RopeConfig, untyped string) {
	switch name := r.ropeType(untyped); {
	case r.err != nil:
	case name == "default":
	case name == "linear":
		c.Scaling = nn.RopeLinear
		c.Factor = r.float("factor", 1, nn.MaxFactor)
	case name == "llama3":
		c.Scaling = nn.RopeLlama3
		c.Factor = r.float("factor", 1, nn.MaxFactor)
		c.LowFreqFactor = r.float("low_freq_factor", 1e-6, nn.MaxFactor)
		c.HighFreqFactor = r.float("high_freq_factor", 1e-6, nn.MaxFactor)
		c.OriginalContext = r.Int("original_max_position_embeddings", 1, nn.MaxContext)
		if r.err == nil && c.HighFreqFactor <= c.LowFreqFactor {
			r.fail(r.keys.Errorf("high_freq_factor", "got %g, want more than low_freq_factor %g", c.HighFreqFactor, c.LowFreqFactor))
		}
	}
}

// ropeType reads rope_type or, as it was first called, type.
func (r *Reader) ropeType(untyped string) string {
	supported := []string{"default", "linear", "llama3"}
	name := ""
	for _, key := range []string{"type", "rope_type"} {
		if r.err != nil || !r.keys.Set(key) {
			continue
		}
		v, err := r.keys.String(key)
		switch {
		case err != nil:
		case !slices.Contains(supported, v):
			err = r.unsupported(key, v, supported)
		case name != "" && v != name:
			err = r.keys.Errorf(key, "got %s, want the same as type %s", strictjson.Quote(v), strictjson.Quote(name))
		}
		r.fail(err)
		name = v
	}
	if name != "" {
		return name
	}
	// Without a type, any factor or per-layer table would be lost silently.
	for _, key := range r.keys.Keys() {
		if untyped == "" || key != "rope_theta" && key != "partial_rotary_factor" {
			r.fail(r.keys.Errorf("rope_type", "missing, want %s", either(supported)))
		}
	}
	return untyped
}

// wholeRotary refuses rotary embedding of a part of each head.
func (r *Reader) wholeRotary(keys *strictjson.Object) {
	const key = "partial_rotary_factor"
	if r.err != nil || !keys.Set(key) {
		return
	}
	_, err := keys.Float(key, 1, 1)
	r.fail(err)
}

// float reads a number that must be there.
func (r *Reader) float(key string, lo, hi float64) float64 {
	if r.err == nil && !r.keys.Has(key) {
		_, err := r.keys.Float(key, lo, hi)
		r.fail(err)
	}
	return r.FloatOr(key, 0, lo, hi)
}
