package calib

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The parquet package believes the sizes that a file's Thrift structs give, so
// the footer is walked first: 2³¹ row groups take six bytes to claim.

// Bounds on the metadata of one parquet file.
const (
	maxFooter   = 16 << 20 // bytes
	maxElements = 1 << 19  // of all lists together
	maxSchema   = 4096     // columns and groups of columns
	maxNesting  = 16       // structs and lists in one another
)

// record is what a page header needs of a Thrift struct: the integers and the
// structs, by field id.
type record struct {
	ints    map[int16]int64
	records map[int16]*record
}

func (r *record) int(id int16) int64 {
	if r == nil {
		return 0
	}
	return r.ints[id]
}

func (r *record) has(id int16) bool {
	if r == nil {
		return false
	}
	_, ok := r.ints[id]
	return ok
}

// The compact protocol's types.
const (
	thriftTrue, thriftFalse   = 1, 2
	thriftI8                  = 3
	thriftI16                 = 4
	thriftI32                 = 5
	thriftI64                 = 6
	thriftDouble              = 7
	thriftBinary              = 8
	thriftList, thriftSet     = 9, 10
	thriftStruct, thriftUUIDs = 12, 13
)

// errCut says that the bytes end inside a struct.
var errCut = errors.New("the metadata is cut short")

// walker goes over one struct in the compact protocol.
type walker struct {
	data     []byte // what is left
	elements int    // of lists so far
	schema   bool   // data is a parquet footer, whose field 2 is the schema
	keep     bool   // make records
}

func (w *walker) uvarint() (uint64, error) {
	v, n := binary.Uvarint(w.data)
	if n == 0 {
		return 0, errCut
	}
	if n < 0 {
		return 0, errors.New("a number in the metadata has more than 64 bits")
	}
	w.data = w.data[n:]
	return v, nil
}

func (w *walker) varint() (int64, error) {
	v, err := w.uvarint()
	return int64(v>>1) ^ -int64(v&1), err
}

func (w *walker) byte() (byte, error) {
	if len(w.data) == 0 {
		return 0, errCut
	}
	b := w.data[0]
	w.data = w.data[1:]
	return b, nil
}

func (w *walker) skip(n uint64) error {
	if n > uint64(len(w.data)) {
		return errCut
	}
	w.data = w.data[n:]
	return nil
}

// record walks a struct. depth counts what it is inside of.
func (w *walker) record(depth int) (*record, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("the metadata is nested more than %d deep", maxNesting)
	}
	var r *record
	if w.keep {
		r = &record{ints: map[int16]int64{}, records: map[int16]*record{}}
	}
	id := int16(0)
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return r, err
		}
		if delta := head >> 4; delta > 0 {
			id += int16(delta)
		} else {
			v, err := w.varint()
			if err != nil {
				return nil, err
			}
			if v < math.MinInt16 || v > math.MaxInt16 {
				return nil, fmt.Errorf("the metadata has a field %d", v)
			}
			id = int16(v)
		}
		kind := head & 15
		switch kind {
		case thriftTrue, thriftFalse:
			if r != nil {
				r.ints[id] = int64(thriftFalse - kind)
			}
		case thriftStruct:
			inner, err := w.record(depth + 1)
			if err != nil {
				return nil, err
			}
			if r != nil {
				r.records[id] = inner
			}
		case thriftI16, thriftI32, thriftI64:
			v, err := w.varint()
			if err != nil {
				return nil, err
			}
			if r != nil {
				r.ints[id] = v
			}
		default:
			most := maxElements
			if w.schema && depth == 0 && id == 2 {
				most = maxSchema
			}
			if err := w.value(kind, depth, most); err != nil {
				return nil, err
			}
		}
	}
}

// value walks a value that is not kept; a list has at most most elements.
func (w *walker) value(kind byte, depth, most int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftI8: // in a list, where a bool is a byte
		return w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := w.uvarint()
		return err
	case thriftDouble:
		return w.skip(8)
	case thriftUUIDs:
		return w.skip(16)
	case thriftBinary:
		n, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thriftStruct:
		_, err := w.record(depth + 1)
		return err
	case thriftList, thriftSet:
		if depth > maxNesting {
			return fmt.Errorf("the metadata is nested more than %d deep", maxNesting)
		}
		head, err := w.byte()
		if err != nil {
			return err
		}
		n := uint64(head >> 4)
		if n == 15 {
			if n, err = w.uvarint(); err != nil {
				return err
			}
		}
		if n > uint64(len(w.data)) { // an element takes at least a byte
			return errCut
		}
		if w.elements += int(n); w.elements > maxElements || n > uint64(most) {
			return fmt.Errorf("the metadata has a list of %d elements, want at most %d, and %d in all lists", n, most, maxElements)
		}
		for range n {
			if err := w.value(head&15, depth+1, maxElements); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("the metadata has a value of type %d", kind)
}
