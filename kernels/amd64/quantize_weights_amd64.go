//go:build amd64 && !noasm

package amd64

// QuantizeWeightsAVX512 is ref.QuantizeWeights of groups of whole 32, limit the
// largest code. Needs AVX512F.
//
//go:noescape
func QuantizeWeightsAVX512(codes *int8, scales *uint16, x *float32, groups, group int, limit float32) (done int)

// QuantizeWeightsAVX2 is QuantizeWeightsAVX512. Needs AVX2, F16C.
//
//go:noescape
func QuantizeWeightsAVX2(codes *int8, scales *uint16, x *float32, groups, group int, limit float32) (done int)
