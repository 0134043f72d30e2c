package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"time"

	"armor/model/atomicfile"
)

const (
	chunk    = 256 << 10
	lockPoll = 100 * time.Millisecond
	lockNote = 10 // polls after which a wait is told of; small files are soon free
)

var (
	errRange   = errors.New("the hub has no such range of the file")
	errChanged = errors.New("the hub has another file now")
	errCorrupt = errors.New("damaged on the way")
)

// fetch brings a file into the cache: its blob, then the snapshot's link to it.
func (p *puller) fetch(ctx context.Context, f *file) error {
	err := p.place(ctx, f)
	if errors.Is(err, errChanged) {
		p.tell(f, 0, err.Error()+"; again from the beginning", false)
		if err := p.head(ctx, f); err != nil {
			return err
		}
		err = p.place(ctx, f)
	}
	if err == nil {
		p.tell(f, f.meta.size, "", true)
	}
	return inFile(ctx, f, err)
}

func (p *puller) place(ctx context.Context, f *file) error {
	if p.moved(f) {
		return nil
	}
	unlock, err := p.acquire(ctx, f)
	if err != nil {
		return err
	}
	defer unlock()
	if !p.complete(f.meta) {
		if err := p.download(ctx, f); err != nil {
			return err
		}
	}
	return p.link(f)
}

// moved says whether the snapshot has a file itself, without a blob: Python's way
// where there are no links.
func (p *puller) moved(f *file) bool {
	info, err := os.Lstat(p.pointer(p.listing.commit, f.name))
	return err == nil && info.Mode().IsRegular() && info.Size() == f.meta.size
}

// acquire waits for the lock of a blob, which Python takes too.
func (p *puller) acquire(ctx context.Context, f *file) (unlock func(), err error) {
	path := p.lock(f.meta.etag)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	for polls := 0; ; polls++ {
		l, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o664)
		if err != nil {
			return nil, err
		}
		locked, err := tryLock(l)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), l.Close())
		}
		// Another may have removed the file in between; its lock then hinders nobody.
		if locked && stillAt(l, path) {
			return func() { l.Close() }, nil
		}
		l.Close()
		if polls == lockNote {
			p.tell(f, f.seen, "is being downloaded already; waiting", false)
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func stillAt(f *os.File, path string) bool {
	a, err := f.Stat()
	b, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(a, b)
}

// partial is a blob on its way: the first done bytes are in the file and the hash.
type partial struct {
	file *os.File
	meta meta
	done int64
	best int64 // the most that done has been
	hash hash.Hash
}

// download fills the .incomplete file and renames it. Bytes that a stopped pull
// has left are read for the hash first. If the hash is wrong all is fetched
// once more, as those bytes, or a resumed connection, may be to blame.
func (p *puller) download(ctx context.Context, f *file) error {
	path := p.incomplete(f.meta.etag)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer file.Close() // a second Close where all went well
	d := &partial{file: file, meta: f.meta}
	if err := d.recall(ctx); err != nil {
		return err
	}
	for again := false; ; again = true {
		if err := p.fill(ctx, f, d); errors.Is(err, errChanged) {
			return errors.Join(err, file.Close(), os.Remove(path))
		} else if err != nil {
			return err
		}
		err := d.verify()
		if err == nil {
			break
		}
		if again {
			return errors.Join(err, file.Close(), os.Remove(path))
		}
		p.tell(f, 0, err.Error()+"; again from the beginning", false)
		if err := d.restart(); err != nil {
			return err
		}
		d.best = 0 // what comes now is progress
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	// Where locks do not work, another pull may have been faster.
	if err := os.Rename(path, p.blob(f.meta.etag)); err != nil && !p.complete(f.meta) {
		return err
	}
	atomicfile.SyncFolder(p.blobs())
	return nil
}

// fill brings the bytes that are missing, over as many connections as it takes.
func (p *puller) fill(ctx context.Context, f *file, d *partial) error {
	u := p.conn.url(p.fileURL(f.name)...)
	return p.conn.retry(ctx, p.noteOf(f), func() (bool, error) {
		best := d.best
		err := p.conn.receive(ctx, u, d, func() { p.tell(f, d.done, "", false) })
		return d.best > best, err
	})
}

// newHash is the hash that the blob is named after.
func newHash(m meta) hash.Hash {
	if len(m.etag) == hex.EncodedLen(sha256.Size) {
		return sha256.New()
	}
	h := sha1.New() // Git's: of a header and the bytes
	fmt.Fprintf(h, "blob %d\x00", m.size)
	return h
}

// recall hashes what the file holds already.
func (d *partial) recall(ctx context.Context) error {
	d.hash = newHash(d.meta)
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > d.meta.size {
		return d.restart()
	}
	buf := make([]byte, chunk)
	for d.done < info.Size() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := d.file.ReadAt(buf[:min(chunk, info.Size()-d.done)], d.done)
		if n == 0 && err != nil {
			return err
		}
		d.hash.Write(buf[:n])
		d.done += int64(n)
	}
	d.best = d.done
	return nil
}

// restart forgets all bytes.
func (d *partial) restart() error {
	d.done, d.hash = 0, newHash(d.meta)
	return d.file.Truncate(0)
}

func (d *partial) verify() error {
	if sum := hex.EncodeToString(d.hash.Sum(nil)); sum != d.meta.etag {
		return fmt.Errorf("%w: hash: got %s, want %s", errCorrupt, sum, d.meta.etag)
	}
	return nil
}
