package calib

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// textFile is one document, of any length: it is never held whole.
type textFile struct {
	zipped bool
	length int64 // after scan
	limits
}

func (t *textFile) scan(f *os.File, hash io.Writer, each func(int64) error) error {
	r, err := stream(f, hash, t.zipped, t.text)
	if err != nil {
		return err
	}
	t.length = 0
	buf, held := make([]byte, 1<<16), 0 // held bytes may begin a character
	for {
		n, err := r.Read(buf[held:])
		part := buf[:held+n]
		t.length += int64(n)
		whole := len(part)
		if err == nil {
			whole -= tail(part)
		}
		if at := invalid(part[:whole]); at >= 0 {
			return fmt.Errorf("byte %d of the text is not UTF-8", t.length-int64(len(part))+int64(at))
		}
		held = copy(buf, part[whole:])
		if err == io.EOF {
			return each(t.length)
		}
		if err != nil {
			return err
		}
	}
}

// tail is how many bytes at the end of b begin a character that is not whole.
func tail(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if last := b[len(b)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// invalid is where b stops to be UTF-8, -1 where it is.
func invalid(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func (t *textFile) read(f *os.File, want []excerpt, got got) error {
	r, err := stream(f, nil, t.zipped, t.text)
	if err != nil {
		return err
	}
	var part []byte // of the document, from base on
	base := int64(0)
	for _, e := range want {
		if skip := e.lo - base - int64(len(part)); skip > 0 {
			if _, err := io.CopyN(io.Discard, r, skip); err != nil {
				return short(err)
			}
			part = part[:0]
		} else {
			part = part[:copy(part, part[e.lo-base:])]
		}
		base = e.lo
		if n := int(min(e.hi+cutSlack, t.length) - base); n > len(part) {
			have := len(part)
			part = append(part, make([]byte, n-have)...)
			if _, err := io.ReadFull(r, part[have:]); err != nil {
				return short(err)
			}
		}
		if err := got(e, part, base, t.length); err != nil {
			return err
		}
	}
	return nil
}

// short turns an end that the first reading did not find there into errChanged.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errChanged
	}
	return err
}
