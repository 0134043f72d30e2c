// Package amd64 holds the kernels written in assembly: one operation family and
// one instruction set a file, named in every function. Package ref has the
// plain Go that judges them. Callers check sizes and choose by CPU feature.
package amd64
