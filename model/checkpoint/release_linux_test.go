package checkpoint

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

// mappedKiB is how much of files this process has in memory.
func mappedKiB(t *testing.T) (n int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	i := bytes.Index(status, []byte("RssFile:"))
	if i < 0 {
		t.Skip("no RssFile")
	}
	if _, err := fmt.Sscanf(string(status[i:]), "RssFile: %d kB", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRelease(t *testing.T) {
	const size = 32 << 20
	data := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, size/7+1)[:size]
	m := openFile(t, writeFile(t, data))
	got := make([]byte, size)
	read := func() {
		t.Helper()
		if _, err := m.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("reads otherwise, %v", err)
		}
	}
	read()
	before := mappedKiB(t)
	m.Release(1, size-2)
	if after := mappedKiB(t); before-after < 24<<10 {
		t.Errorf("%d KiB in memory, before Release %d", after, before)
	}
	read()
	for _, r := range []struct{ off, n int64 }{{0, 0}, {1, 4096}, {size, 1}, {size - 1, 1 << 40}, {-5, 10}, {-5, 1 << 40}, {5, -3}} {
		m.Release(r.off, r.n)
	}
	read()
}
