package checkpoint

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
)

// shardWriter is one safetensors file on its way. Its data are held in memory up
// to a bound; beyond that they follow room for the header, which is padded.
type shardWriter struct {
	file   tempFile
	path   string // once complete
	name   string // once it has one
	room   int
	memory int

	held    []byte // all data until flushed
	flushed bool   // data go to the file, behind the room
	written int64  // bytes of data
	tensors []writtenTensor
	header  int // bytes that the header takes at most

	odd      []oddTensor
	oddBytes int64

	bytes int64  // of the file
	sum   string // SHA-256
}

type writtenTensor struct {
	name  string
	dtype DType
	shape []int
	size  int64
	begin int64
}

// oddTensor is one whose bytes are no multiple of 8.
type oddTensor struct {
	writtenTensor
	bytes []byte
}

const headerBegin = `{"__metadata__":{"format":"pt"}`

// entry is the tensor's part of the header.
func (e *writtenTensor) entry() []byte {
	name, err := json.Marshal(e.name)
	if err != nil {
		panic(err) // a string
	}
	b := append([]byte{','}, name...)
	b = append(b, `:{"dtype":"`...)
	b = append(b, e.dtype.String()...)
	b = append(b, `","shape":[`...)
	for i, n := range e.shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	b = append(b, `],"data_offsets":[`...)
	b = strconv.AppendInt(b, e.begin, 10)
	b = append(b, ',')
	b = strconv.AppendInt(b, e.begin+e.size, 10)
	return append(b, `]}`...)
}

// entryBytes is what a tensor's entry takes at most, wherever it comes to lie.
func (e *writtenTensor) entryBytes() int { return len(e.entry()) + 2*len("9223372036854775807") }

func (s *shardWriter) empty() bool { return s.header == 0 }

// roomFor says whether the header can take another tensor.
func (s *shardWriter) roomFor(e writtenTensor) bool {
	return len(headerBegin)+s.header+e.entryBytes()+len("}") <= s.room
}

// fits says whether the file may take another tensor; any may be its first.
func (s *shardWriter) fits(e writtenTensor, limit int64) bool {
	if e.size%8 != 0 && s.oddBytes > heldBytes {
		return false // they are in memory
	}
	return s.empty() || s.roomFor(e) && prefix+int64(s.room)+s.written+s.oddBytes <= limit-e.size
}

// Write appends data.
func (s *shardWriter) Write(p []byte) (int, error) {
	if !s.flushed && len(s.held)+len(p) > s.memory {
		if _, err := s.file.WriteAt(s.held, prefix+int64(s.room)); err != nil {
			return 0, err
		}
		s.held, s.flushed = nil, true
	}
	if !s.flushed {
		s.held = append(s.held, p...)
	} else if _, err := s.file.WriteAt(p, prefix+int64(s.room)+s.written); err != nil {
		return 0, err
	}
	s.written += int64(len(p))
	return len(p), nil
}

// place says that the data of a tensor have been written.
func (s *shardWriter) place(e writtenTensor) {
	e.begin = s.written - e.size
	s.header += e.entryBytes()
	s.tensors = append(s.tensors, e)
}

// delay takes a tensor for the end of the file.
func (s *shardWriter) delay(e writtenTensor, data []byte) {
	s.header += e.entryBytes()
	s.odd = append(s.odd, oddTensor{e, data})
	s.oddBytes += e.size
}

// complete writes the odd tensors, the largest elements first so that all are
// aligned, and the header, and reads the file for its hash.
func (s *shardWriter) complete() error {
	slices.SortStableFunc(s.odd, func(a, b oddTensor) int { return cmp.Compare(b.dtype.Size(), a.dtype.Size()) })
	for _, o := range s.odd {
		if _, err := s.Write(o.bytes); err != nil {
			return err
		}
		e := o.writtenTensor
		e.begin = s.written - e.size
		s.tensors = append(s.tensors, e)
	}
	s.odd = nil
	header := []byte(headerBegin)
	for _, t := range s.tensors {
		header = append(header, t.entry()...)
	}
	header = append(header, '}')
	for len(header)%8 != 0 || s.flushed && len(header) < s.room {
		header = append(header, ' ')
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(append(file, header...), s.held...)
	s.held = nil
	if _, err := s.file.WriteAt(file, 0); err != nil {
		return err
	}
	s.bytes = prefix + int64(len(header)) + s.written
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(s.file, 0, s.bytes)); err != nil {
		return err
	}
	s.sum = hex.EncodeToString(hash.Sum(nil))
	s.path = s.file.Name()
	if err := s.file.Chmod(0o644); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return s.file.Close()
}

// abort removes the file, which may be closed.
func (s *shardWriter) abort() {
	s.file.Close()
	if s.path == "" {
		s.path = s.file.Name()
	}
	os.Remove(s.path)
}
