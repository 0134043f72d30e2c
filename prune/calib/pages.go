package calib

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// maxPageHeader bounds a page header, which may hold a smallest and a largest
// text.
const maxPageHeader = 16 << 20

// plainDictionary is what old writers call format.RLEDictionary.
const plainDictionary format.Encoding = 2

var errColumn = errors.New("damaged column")

// chunk is the text column in one row group. It is read here, not by the
// parquet package, which allocates what page headers and run lengths claim.
type chunk struct {
	file     io.ReaderAt
	size     int64
	meta     *format.ColumnMetaData
	optional bool // has definition levels
	rows     int
	page     int64 // bytes that one page may have after decompression

	dictionary plain
	raw, data  []byte // of the page at hand
}

// read calls each with the text of every row, which is valid until it returns.
// It returns the bytes of the pages after decompression.
func (c *chunk) read(each func(text []byte) error) (int64, error) {
	m := c.meta
	at := m.DataPageOffset
	if m.DictionaryPageOffset != 0 {
		at = m.DictionaryPageOffset
	}
	if at < 4 || m.TotalCompressedSize < 0 || at > c.size || m.TotalCompressedSize > c.size-at {
		return 0, fmt.Errorf("%w: got %d bytes at %d, want them in a file of %d", errColumn, m.TotalCompressedSize, at, c.size)
	}
	rows, total := 0, int64(0)
	for end := at + m.TotalCompressedSize; at < end; {
		h, n, err := pageHeader(c.file, at, end)
		if err != nil {
			return 0, fmt.Errorf("%w: page at byte %d: %w", errColumn, at, err)
		}
		full, packed := h.int(2), h.int(3)
		if packed < 0 || packed > end-at-n || full < 0 || full > c.page || packed > 2*c.page {
			return 0, fmt.Errorf("%w: got a page of %d bytes, %d decompressed, want at most %d, %d decompressed", errColumn, packed, full, end-at-n, c.page)
		}
		total += full
		c.raw = slices.Grow(c.raw[:0], int(packed))[:packed]
		if _, err := c.file.ReadAt(c.raw, at+n); err != nil {
			return 0, noEOF(err)
		}
		count, err := c.readPage(h, int(full), c.rows-rows, each)
		if err != nil {
			return 0, fmt.Errorf("page at byte %d: %w", at, err)
		}
		rows += count
		at += n + packed
	}
	if rows != c.rows {
		return 0, fmt.Errorf("%w: got pages of %d values, want %d", errColumn, rows, c.rows)
	}
	return total, nil
}

// readPage reads the page in c.raw, of at most left rows, and returns its rows.
func (c *chunk) readPage(h *record, full, left int, each func([]byte) error) (int, error) {
	unpacked := c.meta.Codec == format.Uncompressed
	var page *record
	var levels, skipped int
	var encoding format.Encoding
	kind := format.PageType(h.int(1))
	switch kind {
	case format.DictionaryPage:
		page = h.records[7]
	case format.DataPage:
		page = h.records[5]
		encoding = format.Encoding(page.int(2))
	case format.DataPageV2:
		page = h.records[8]
		encoding = format.Encoding(page.int(4))
		d, r := page.int(5), page.int(6)
		if most := int64(min(len(c.raw), full)); d < 0 || r < 0 || d > most || r > most-d {
			return 0, fmt.Errorf("%w: got %d + %d bytes of levels in a page of %d", errColumn, r, d, most)
		}
		skipped, levels = int(r), int(d)
		unpacked = unpacked || page.has(7) && page.int(7) == 0
	default:
		return 0, fmt.Errorf("%w: got a page of type %d", errColumn, kind)
	}
	count := page.int(1)
	if count < 0 || kind != format.DictionaryPage && count > int64(left) {
		return 0, fmt.Errorf("%w: got a page of %d values, want at most the %d rows left", errColumn, count, left)
	}

	front := skipped + levels
	definition, body := c.raw[skipped:front], c.raw[front:]
	if !unpacked && len(body) > 0 {
		var err error
		if c.data, err = decompress(c.data[:0], c.meta.Codec, body, full-front); err != nil {
			return 0, fmt.Errorf("%w: %w", errColumn, err)
		}
		body = c.data
	}
	if kind == format.DictionaryPage {
		dictionary, err := newPlain(bytes.Clone(body), int(min(count, int64(full))))
		if err == nil && int64(dictionary.len()) != count {
			err = errValues
		}
		c.dictionary = dictionary
		return 0, err
	}
	if kind == format.DataPage && c.optional {
		n, rest, ok := length(body)
		if !ok {
			return 0, errValues
		}
		definition, body = rest[:n], rest[n:]
	}
	values, err := c.values(encoding, body, int(count))
	if err != nil {
		return 0, err
	}
	present := runs{data: definition, width: 1}
	for range count {
		if c.optional {
			switch level, err := present.next(); {
			case err != nil:
				return 0, err
			case level == 0:
				if err := each(nil); err != nil {
					return 0, err
				}
				continue
			}
		}
		text, err := values()
		if err != nil {
			return 0, err
		}
		if err := each(text); err != nil {
			return 0, err
		}
	}
	return int(count), nil
}

// values returns a function that gives the texts of a page one after another.
func (c *chunk) values(encoding format.Encoding, body []byte, count int) (func() ([]byte, error), error) {
	switch encoding {
	case format.Plain:
		return func() ([]byte, error) {
			n, rest, ok := length(body)
			if !ok {
				return nil, errValues
			}
			text := rest[:n]
			body = rest[n:]
			return text, nil
		}, nil
	case format.RLEDictionary, plainDictionary:
		if len(body) == 0 { // all null
			return func() ([]byte, error) { return nil, errValues }, nil
		}
		indices := runs{data: body[1:], width: int(body[0])}
		if indices.width > 32 {
			return nil, errValues
		}
		return func() ([]byte, error) {
			i, err := indices.next()
			if err == nil && int(i) >= c.dictionary.len() {
				err = errValues
			}
			if err != nil {
				return nil, err
			}
			return c.dictionary.at(int(i)), nil
		}, nil
	case format.DeltaLengthByteArray:
		lengths, rest, err := deltaLengths(body, count)
		if err != nil {
			return nil, err
		}
		return func() ([]byte, error) {
			if len(lengths) == 0 || lengths[0] < 0 || int(lengths[0]) > len(rest) {
				return nil, errValues
			}
			text := rest[:lengths[0]]
			rest, lengths = rest[lengths[0]:], lengths[1:]
			return text, nil
		}, nil
	}
	return nil, fmt.Errorf("got pages encoded as %v, want PLAIN, RLE_DICTIONARY or DELTA_LENGTH_BYTE_ARRAY", encoding)
}

// pageHeader reads the header at byte at, and its length.
func pageHeader(f io.ReaderAt, at, end int64) (*record, int64, error) {
	for try := int64(1 << 12); ; try *= 16 {
		n := min(try, end-at)
		data := make([]byte, n)
		if _, err := f.ReadAt(data, at); err != nil {
			return nil, 0, noEOF(err)
		}
		w := walker{data: data, keep: true}
		h, err := w.record(0)
		if errors.Is(err, errCut) && n == try && try < maxPageHeader {
			continue
		}
		return h, n - int64(len(w.data)), err
	}
}

// decompress appends what data holds to dst, exactly want bytes.
func decompress(dst []byte, codec format.CompressionCodec, data []byte, want int) ([]byte, error) {
	var r io.Reader
	switch codec {
	case format.Snappy:
		if n, err := snappy.DecodedLen(data); err != nil || n != want {
			return nil, fmt.Errorf("snappy: got %d bytes after decompression, want %d", n, want)
		}
		return snappy.Decode(slices.Grow(dst, want)[:want], data)
	case format.Gzip:
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		r = z
	case format.Zstd:
		z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	default:
		return nil, fmt.Errorf("got pages compressed with %v, want SNAPPY, GZIP or ZSTD", codec)
	}
	b := bytes.NewBuffer(dst)
	n, err := io.Copy(b, io.LimitReader(r, int64(want)+1))
	if err == nil && n != int64(want) {
		err = fmt.Errorf("got %d bytes or more after decompression, want %d", n, want)
	}
	return b.Bytes(), err
}
