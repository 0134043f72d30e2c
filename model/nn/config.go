package nn

// Config is a decoder's shape, in the terms of the Hugging Face config.
type Config struct {
	Dim     int     // hidden_size
	Layers  int     // num_hidden_layers
	Heads   int     // num_attention_heads
	KVHeads int     // num_key_value_heads
	HeadDim int     // head_dim, or hidden_size / num_attention_heads
	FF      int     // intermediate_size
	Vocab   int     // vocab_size
	Context int     // max_position_embeddings
	Eps     float32 // rms_norm_eps
	Tied    bool    // tie_word_embeddings: the head is the embedding
	Rope    RopeConfig
}

// Bounds that no published model comes near; they keep products of two sizes
// far from overflow and one layer's rows within reason.
const (
	MaxDim     = 1 << 20
	MaxLayers  = 1000
	MaxHeads   = 1 << 14
	MaxHeadDim = 1 << 12
	MaxVocab   = 1 << 24
	MaxContext = 1 << 30
	MaxTheta   = 1e15
	MaxFactor  = 1e6
)

// RopeConfig describes the rotary position embedding.
type RopeConfig struct {
	Theta   float64
	Scaling RopeScaling
	Factor  float64 // linear and llama3: how far positions are stretched

	// llama3 only (Hugging Face modeling_rope_utils, _compute_llama3_parameters).
	LowFreqFactor, HighFreqFactor float64
	OriginalContext               int
}

// RopeScaling names how rotary frequencies are changed for long contexts.
type RopeScaling int

const (
	RopeDefault RopeScaling = iota
	RopeLinear              // frequencies divided by Factor
	RopeLlama3              // frequencies divided by Factor below a wavelength, smoothed between two
)
