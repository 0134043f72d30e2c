package checkpoint

import (
	"fmt"
	"io/fs"
	"testing"

	"armor/model/internal/gguftest"
)

type (
	ggufFile  = gguftest.File
	ggufKey   = gguftest.Key
	ggufEntry = gguftest.Tensor
	raw       = gguftest.Raw
)

// openGGUF opens files in memory, the first of them model/NAME.
func openGGUF(name string, m files) (*Checkpoint, error) {
	return ReadGGUF("model/"+name, func(name string) (Source, error) {
		b, ok := m[name]
		if !ok {
			return nil, fmt.Errorf("model/%s: %w", name, fs.ErrNotExist)
		}
		return FromBytes(b), nil
	})
}

func mustOpenGGUF(t *testing.T, f *ggufFile) *Checkpoint {
	t.Helper()
	c, err := openGGUF("m.gguf", files{"m.gguf": f.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// architecture is what a file must say at least.
func architecture(name string) ggufKey { return ggufKey{"general.architecture", name} }
