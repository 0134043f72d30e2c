package nn

import "math"

// RopeTable gives [positions, head_dim]: for each position the cosines of its
// head_dim/2 angles, then their sines. Frequencies and angles are rounded to
// f32 where Hugging Face's modeling_rope_utils rounds them. factors [head_dim/2],
// if there are any, divide the frequencies further.
func (c *Config) RopeTable(positions int, factors ...float32) []float32 {
	inv := c.Rope.frequencies(c.HeadDim)
	for i, f := range factors {
		inv[i] /= f
	}
	table := make([]float32, 0, positions*c.HeadDim)
	for pos := range positions {
		for _, f := range inv {
			table = append(table, float32(math.Cos(float64(float32(pos)*f))))
		}
		for _, f := range inv {
			table = append(table, float32(math.Sin(float64(float32(pos)*f))))
		}
	}
	return table
}

// frequencies gives head_dim/2 angles per position.
func (r *RopeConfig) frequencies(headDim int) []float32 {
	inv := make([]float32, headDim/2)
	for i := range inv {
		power := float32(math.Pow(r.Theta, float64(float32(2*i)/float32(headDim))))
		inv[i] = r.scale(1 / power)
	}
	return inv
}

func (r *RopeConfig) scale(f float32) float32 {
	switch r.Scaling {
	case RopeLinear:
		return f / float32(r.Factor)
	case RopeLlama3:
		// Long wavelengths are stretched, short ones kept, between them a blend.
		wavelength := 2 * math.Pi / float64(f)
		context := float64(r.OriginalContext)
		switch {
		case wavelength > context/r.LowFreqFactor:
			return f / float32(r.Factor)
		case wavelength < context/r.HighFreqFactor:
			return f
		}
		blend := (context/wavelength - r.LowFreqFactor) / (r.HighFreqFactor - r.LowFreqFactor)
		return float32((1-blend)*float64(f)/r.Factor + blend*float64(f))
	default:
		return f
	}
}
