//go:build !linux

package kerneltest

// mapGuarded has no guard pages here: canaries still show writes.
func mapGuarded(size, _ int) (mem []byte, free func(), err error) {
	return make([]byte, size), func() {}, nil
}
