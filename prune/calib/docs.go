package calib

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Docs is a file of documents that has been read through once: all of it is
// well-formed and the length of each document is known. The texts stay in the
// file.
type Docs struct {
	path    string
	file    *os.File
	src     source
	lengths []int64 // [documents] bytes of UTF-8
	info    Info
}

// source is a file format.
type source interface {
	// scan calls each with the length of every document in order.
	scan(r *os.File, hash io.Writer, each func(length int64) error) error
	// read calls got with the wanted excerpts, which are in the order of the
	// file, ends not yet moved; text begins at byte base of the document.
	read(r *os.File, want []excerpt, got got) error
}

// got takes a part of a document of length bytes that holds what a wanted
// excerpt and the search for its ends need.
type got func(e excerpt, text []byte, base, length int64) error

// limits hold what one file may make us do.
type limits struct {
	line      int   // bytes of one line
	page      int64 // bytes of one parquet page after decompression
	text      int64 // bytes of the file after decompression
	documents int
}

var defaultLimits = limits{line: 64 << 20, page: 512 << 20, text: 64 << 30, documents: 1 << 25}

// Open reads through a .txt file (one document), a .jsonl file (one a line, in
// the field "text", "content" or "messages"), either of them also with .gz, or
// a .parquet file (column "text" or "content").
func Open(path string) (*Docs, error) { return open(path, defaultLimits) }

func open(path string, l limits) (d *Docs, err error) {
	name := strings.ToLower(path)
	plain, zipped := strings.CutSuffix(name, ".gz")
	var src source
	switch {
	case strings.HasSuffix(plain, ".txt"):
		src = &textFile{zipped: zipped, limits: l}
	case strings.HasSuffix(plain, ".jsonl"):
		src = &jsonlFile{zipped: zipped, limits: l}
	case strings.HasSuffix(name, ".parquet"):
		src = &parquetFile{limits: l}
	default:
		return nil, fmt.Errorf("%s: got a file %q, want .txt, .jsonl, .txt.gz, .jsonl.gz or .parquet", path, filepath.Base(path))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file, and it must be read more than once", path)
	}
	hash := sha256.New()
	d = &Docs{path: path, file: f, src: src}
	d.info = Info{File: filepath.Base(path), FileBytes: stat.Size()}
	err = src.scan(f, hash, func(length int64) error {
		if len(d.lengths) == l.documents {
			return fmt.Errorf("more than %d documents", l.documents)
		}
		d.lengths = append(d.lengths, length)
		if length > 0 {
			d.info.Documents++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d.info.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return d, nil
}

// Close closes the file.
func (d *Docs) Close() error { return d.file.Close() }

// fetch returns the text of the excerpts, in their order.
func (d *Docs) fetch(batch []excerpt) ([]string, error) {
	want := slices.Clone(batch)
	slices.SortFunc(want, func(a, b excerpt) int {
		return cmp.Or(cmp.Compare(a.doc, b.doc), cmp.Compare(a.lo, b.lo))
	})
	texts := make([]string, len(batch))
	found := 0
	err := d.src.read(d.file, want, func(e excerpt, text []byte, base, length int64) error {
		if length != d.lengths[e.doc] {
			return errChanged
		}
		lo, hi := cut(text, base, length, e.lo), cut(text, base, length, e.hi)
		texts[e.order] = string(text[lo-base : hi-base])
		found++
		return nil
	})
	if err == nil && found != len(batch) {
		err = errChanged
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	return texts, nil
}

var errChanged = errors.New("the file has changed since it was opened")

// cutSlack is how far behind the wanted place a good one to cut is sought.
const cutSlack = 256

// cut returns the first good place to cut at or after at: behind a newline,
// else before a space, else between two characters. text is the part of the
// document of length bytes that begins at base and reaches cutSlack beyond at.
func cut(text []byte, base, length, at int64) int64 {
	if at == 0 || at == length {
		return at
	}
	near := text[at-base:]
	near = near[:min(len(near), cutSlack)]
	if i := bytes.IndexByte(near, '\n'); i >= 0 {
		return at + int64(i) + 1
	}
	if i := bytes.IndexByte(near, ' '); i >= 0 {
		return at + int64(i)
	}
	i := 0
	for i < len(near) && near[i]&0xC0 == 0x80 {
		i++
	}
	return at + int64(i)
}

// stream is the text of a file from its beginning, decompressed, without a byte
// order mark, and at most limit bytes of it. Raw bytes go to hash, which may be
// nil; all of them have when the stream has been read to its end.
func stream(f *os.File, hash io.Writer, zipped bool, limit int64) (*bufio.Reader, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var r io.Reader = f
	if hash != nil {
		r = io.TeeReader(r, hash)
	}
	if zipped {
		z, err := gzip.NewReader(bufio.NewReaderSize(r, 1<<16))
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", noEOF(err))
		}
		r = z
	}
	b := bufio.NewReaderSize(&bounded{r: r, left: limit, limit: limit}, 1<<16)
	if mark, _ := b.Peek(3); string(mark) == "\ufeff" {
		b.Discard(3)
	}
	return b, nil
}

// bounded fails beyond limit bytes.
type bounded struct {
	r           io.Reader
	left, limit int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("more than %d bytes of text", b.limit)
	}
	return n, err
}

// noEOF makes an end of file that comes too early an error of its own.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
