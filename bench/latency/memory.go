package latency

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"armor/kernels"
	"armor/model"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// fit refuses what would need more memory than is free, where the system says how
// much that is. It reads no weights.
func (o *Options) fit() error {
	free := freeMemory()
	if free == 0 {
		return nil
	}
	need, keys := int64(0), int64(0)
	for i := range o.Subjects {
		weights, kv, err := o.Subjects[i].bytes(o)
		if err != nil {
			return err
		}
		need, keys = need+weights, max(keys, kv)
	}
	if o.Generate > 0 {
		need = max(need+keys, o.StreamBytes)
	}
	if need > free {
		return fmt.Errorf("the models and their keys and values need about %.1f GiB, %.1f GiB is free: take fewer models, fewer layers of a shape, or smaller batches",
			float64(need)/(1<<30), float64(free)/(1<<30))
	}
	return nil
}

// bytes estimates what a model takes: its weights, and keys and values.
func (s *Subject) bytes(o *Options) (weights, kv int64, err error) {
	ck, err := s.Open()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	shape, err := model.ShapeOf(ck)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range ck.Names() {
		t, _ := ck.Tensor(name)
		weights += s.tensorBytes(t)
	}
	c := &shape.Config
	positions, sequences := max(1, o.Prompt+o.Generate), 1
	for _, b := range o.Batch {
		sequences = max(sequences, b)
	}
	pages := int64(kernels.PagesFor(positions)) * int64(sequences)
	kv = pages * kernels.PageTokens * int64(2*c.Layers*c.KVHeads*c.HeadDim*o.KV.Size())
	return weights, kv, nil
}

// tensorBytes is the memory that a tensor takes once it is loaded.
func (s *Subject) tensorBytes(t *checkpoint.Tensor) int64 {
	if !t.DType.Float() || len(t.Shape) < 2 {
		return t.Bytes()
	}
	elements := int64(t.Rows()) * int64(t.Cols())
	switch {
	case s.Weights == nn.WeightsF32:
		return 4 * elements
	case s.Weights == nn.WeightsInt8, s.Weights == nn.WeightsAuto && t.DType.Quantized():
		return elements * 17 / 16 // a scale in f16 for 32
	case s.Weights == nn.WeightsInt4:
		return elements * 9 / 16
	default:
		return 2 * elements
	}
}

var availableLine = regexp.MustCompile(`(?m)^MemAvailable:\s+(\d+) kB$`)

// freeMemory is what Linux says can be had without swapping, 0 elsewhere.
func freeMemory() int64 {
	info, err := os.ReadFile("/proc/meminfo")
	if m := availableLine.FindSubmatch(info); err == nil && m != nil {
		if kb, err := strconv.ParseInt(string(m[1]), 10, 64); err == nil {
			return kb << 10
		}
	}
	return 0
}
