package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// Event is a step of one file's way into the cache. Before the first byte comes,
// there is one for each file, so that the sum of Size is known. They come one
// after the other, never two at a time.
type Event struct {
	File     string // empty where the note is of none in particular
	Size     int64
	Done     int64  // bytes on disk; fewer than before where it had to begin again
	Finished bool   // checked, and in its place
	Note     string // what went wrong and is tried again, or is waited for; else empty
}

// file is one file on its way.
type file struct {
	name   string
	meta   meta
	seen   int64 // bytes reported last
	hidden bool  // not in the sum: only what goes wrong is reported
}

type puller struct {
	Options
	layout
	name    Name
	conn    *conn
	listing *listing

	mu     sync.Mutex
	report func(Event)
}

// Pull downloads ORG/NAME or ORG/NAME:FILE.gguf into the cache and returns the
// path that Resolve finds from then on. What is in the cache already is not
// fetched again, and what a stopped pull has left is gone on with. report may
// be nil. Errors are one line.
func Pull(ctx context.Context, name string, o Options, report func(Event)) (path string, err error) {
	n, err := ParseName(name)
	if err != nil {
		return "", err
	}
	if o, err = o.withDefaults(); err != nil {
		return "", err
	}
	p := &puller{Options: o, layout: newLayout(o.CacheDir, n.Repo), name: n, report: report}
	if p.conn, err = newConn(o); err != nil {
		return "", err
	}
	defer p.conn.close(o)
	err = safely(func() error {
		path, err = p.pull(ctx)
		return err
	})
	var r *refusal
	switch {
	case err == nil:
		return path, nil
	case errors.As(err, &r):
		return "", r.explain(n.Repo, o.Revision)
	case ctx.Err() != nil, strings.HasPrefix(err.Error(), n.Repo+":"):
		return "", err
	}
	return "", fmt.Errorf("%s: %w", n.Repo, err)
}

func (p *puller) pull(ctx context.Context) (string, error) {
	if err := p.list(ctx); err != nil {
		return "", err
	}
	if err := os.MkdirAll(p.blobs(), 0o777); err != nil {
		return "", err
	}
	names, err := p.choose(ctx)
	if err != nil {
		return "", err
	}
	files := make([]*file, len(names))
	for i, name := range names {
		files[i] = &file{name: name}
	}
	if err := each(ctx, p.Parallel, files, p.head); err != nil {
		return "", err
	}
	if err := p.checkSpace(files); err != nil {
		return "", err
	}
	for _, f := range files {
		p.tell(f, p.present(f), "", false)
	}
	if err := each(ctx, p.Parallel, files, p.fetch); err != nil {
		return "", err
	}
	// Last, so that the revision never names a snapshot with files missing.
	commit := p.listing.commit
	if p.Revision != commit {
		if err := p.writeRef(commit); err != nil {
			return "", err
		}
	}
	if p.name.File != "" {
		return p.pointer(commit, names[0]), nil
	}
	return p.snapshot(commit), nil
}

// list asks for the commit and the files of the revision.
func (p *puller) list(ctx context.Context) error {
	org, name, _ := strings.Cut(p.name.Repo, "/")
	u := p.conn.url("api", "models", org, name, "revision", p.Revision)
	u.RawQuery = "blobs=true" // with sizes
	err := p.conn.retry(ctx, p.noteOf(&file{name: "the list of files", hidden: true}), func() (bool, error) {
		body, err := p.conn.read(ctx, u, maxListing)
		if err == nil {
			p.listing, err = parseListing(body)
		}
		return false, err
	})
	if err == nil && isCommit(p.Revision) && p.listing.commit != p.Revision {
		err = fmt.Errorf("the list of files: sha: got %s, want %s", p.listing.commit, p.Revision)
	}
	return err
}

// choose names the files to download. An index of weights is downloaded for it.
func (p *puller) choose(ctx context.Context) ([]string, error) {
	if p.name.File != "" {
		return chooseGGUF(p.listing, p.name)
	}
	names, err := chooseFolder(p.listing, p.name.Repo)
	if err != nil || names[len(names)-1] != indexFile {
		return names, err
	}
	index := &file{name: indexFile, hidden: true}
	if err := p.head(ctx, index); err != nil {
		return nil, err
	}
	if index.meta.size > maxIndex {
		return nil, fmt.Errorf("%s: got %d bytes, want at most %d", indexFile, index.meta.size, maxIndex)
	}
	if err := p.fetch(ctx, index); err != nil {
		return nil, err
	}
	text, err := readLimited(p.pointer(p.listing.commit, indexFile), maxIndex)
	if err != nil {
		return nil, err
	}
	shards, err := parseIndex(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	for _, shard := range shards {
		if !p.listing.has(shard) {
			return nil, fmt.Errorf("%s names %s, which is not in this repository", indexFile, quote(shard))
		}
	}
	return append(names, shards...), nil
}

// fileURL is where the hub has a file, at the one commit.
func (p *puller) fileURL(name string) (parts []string) {
	return append(append(strings.Split(p.name.Repo, "/"), "resolve", p.listing.commit), strings.Split(name, "/")...)
}

// head asks for a file's hash and size.
func (p *puller) head(ctx context.Context, f *file) error {
	u := p.conn.url(p.fileURL(f.name)...)
	err := p.conn.retry(ctx, p.noteOf(f), func() (bool, error) {
		m, err := p.conn.head(ctx, u)
		if err != nil {
			return false, err
		}
		f.meta, err = m.file(p.listing.commit, p.listing.files[f.name])
		return false, err
	})
	return inFile(ctx, f, err)
}

// checkSpace compares what is missing with what the disk has.
func (p *puller) checkSpace(files []*file) error {
	var missing int64 // cannot overflow: at most maxFiles files of maxSize
	counted := map[string]bool{}
	for _, f := range files {
		if !counted[f.meta.etag] {
			counted[f.meta.etag] = true
			missing += f.meta.size - p.present(f)
		}
	}
	if free, known := p.free(p.blobs()); known && missing > free {
		return fmt.Errorf("not enough space: %s to download, %s free in %s", mebibytes(missing), mebibytes(free), p.cache)
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// present is how much of a file is on disk already.
func (p *puller) present(f *file) int64 {
	if p.complete(f.meta) || p.moved(f) {
		return f.meta.size
	}
	if info, err := os.Stat(p.incomplete(f.meta.etag)); err == nil && info.Size() <= f.meta.size {
		return info.Size()
	}
	return 0
}

// complete says whether a file's blob is in the cache.
func (p *puller) complete(m meta) bool {
	info, err := os.Stat(p.blob(m.etag))
	return err == nil && info.Mode().IsRegular() && info.Size() == m.size
}

// tell reports a step.
func (p *puller) tell(f *file, done int64, note string, finished bool) {
	if p.report == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f.seen = done
	if f.hidden {
		if note != "" {
			p.report(Event{Note: f.name + ": " + note})
		}
		return
	}
	p.report(Event{File: f.name, Size: f.meta.size, Done: done, Note: note, Finished: finished})
}

// noteOf reports what is tried again.
func (p *puller) noteOf(f *file) func(error) {
	return func(err error) { p.tell(f, f.seen, err.Error()+"; trying again", false) }
}

// inFile puts a file's name before an error, but for those that have none.
func inFile(ctx context.Context, f *file, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%s: %w", f.name, err)
}

// safely turns a panic into an error.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error: %v", r)
		}
	}()
	return f()
}

// each calls f for every item, several at once, and ends with the first error,
// which stops the others.
func each[T any](ctx context.Context, parallel int, items []T, f func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan T, len(items))
	for _, item := range items {
		queue <- item
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(parallel, len(items)) {
		workers.Go(func() {
			for item := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := safely(func() error { return f(ctx, item) }); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
