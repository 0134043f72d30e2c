package calib

import (
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

// parquetFile has one document a row, in the column "text" or "content"; null
// is an empty one.
type parquetFile struct {
	limits
}

func (p *parquetFile) scan(f *os.File, hash io.Writer, each func(int64) error) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	return guard(func() error {
		return p.rows(f, func(int) bool { return true }, func(doc int, text []byte) error {
			if !utf8.Valid(text) {
				return fmt.Errorf("row %d: not UTF-8", doc+1)
			}
			return each(int64(len(text)))
		})
	})
}

func (p *parquetFile) read(f *os.File, want []excerpt, got got) error {
	return guard(func() error {
		return p.rows(f, func(end int) bool {
			return len(want) > 0 && int(want[0].doc) < end
		}, func(doc int, text []byte) error {
			for ; len(want) > 0 && int(want[0].doc) == doc; want = want[1:] {
				if err := got(want[0], text, 0, int64(len(text))); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// guard turns a panic of the parquet package over a damaged file into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged parquet file: %v", p)
		}
	}()
	return f()
}

// rows calls each with the text of every row of the row groups that wanted
// says yes to.
func (p *parquetFile) rows(f *os.File, wanted func(end int) bool, each func(doc int, text []byte) error) error {
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkFooter(f, stat.Size()); err != nil {
		return err
	}
	file, err := parquet.OpenFile(f, stat.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	column, err := textColumn(file)
	if err != nil {
		return err
	}
	doc, left := 0, p.text
	for i, group := range file.Metadata().RowGroups {
		if group.NumRows < 0 || group.NumRows > int64(p.documents-doc) {
			return fmt.Errorf("row group %d: got %d rows after %d, want at most %d in all", i, group.NumRows, doc, p.documents)
		}
		if int(column.Index()) >= len(group.Columns) {
			return fmt.Errorf("row group %d: got %d columns, want %d", i, len(group.Columns), column.Index()+1)
		}
		rows := int(group.NumRows)
		if !wanted(doc + rows) {
			doc += rows
			continue
		}
		c := chunk{
			file: f, size: stat.Size(), meta: &group.Columns[column.Index()].MetaData,
			optional: column.Optional(), rows: rows, page: p.page,
		}
		n, err := c.read(func(text []byte) error {
			doc++
			return each(doc-1, text)
		})
		if left -= n; err == nil && left < 0 {
			err = fmt.Errorf("more than %d bytes of text", p.text)
		}
		if err != nil {
			return fmt.Errorf("row group %d: %w", i, err)
		}
	}
	return nil
}

// textColumn is the column with the text.
func textColumn(file *parquet.File) (*parquet.Column, error) {
	for _, name := range []string{"text", "content"} {
		c := file.Root().Column(name)
		if c == nil {
			continue
		}
		if !c.Leaf() || c.Repeated() || c.Type().Kind() != parquet.ByteArray {
			return nil, fmt.Errorf("column %q: want one string a row", name)
		}
		return c, nil
	}
	names := map[string]struct{}{}
	for _, c := range file.Root().Columns() {
		names[c.Name()] = struct{}{}
	}
	return nil, fmt.Errorf(`got the columns %s, want "text" or "content"`, keysOf(names))
}

// checkFooter looks at the file's metadata before the parquet package does.
func checkFooter(f io.ReaderAt, size int64) error {
	var head [4]byte
	var end [8]byte
	if size < int64(len(head)+len(end)) {
		return fmt.Errorf("got %d bytes, want a parquet file", size)
	}
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return err
	}
	if _, err := f.ReadAt(end[:], size-8); err != nil {
		return err
	}
	if string(head[:]) != "PAR1" || string(end[4:]) != "PAR1" {
		return fmt.Errorf("not a whole parquet file without encryption: begins with %q and ends with %q, want PAR1", head[:], end[4:])
	}
	n := int64(end[0]) | int64(end[1])<<8 | int64(end[2])<<16 | int64(end[3])<<24
	if n > size-12 || n > maxFooter {
		return fmt.Errorf("got metadata of %d bytes in a file of %d, want at most %d", n, size, maxFooter)
	}
	footer := make([]byte, n)
	if _, err := f.ReadAt(footer, size-8-n); err != nil {
		return err
	}
	w := walker{data: footer, schema: true}
	_, err := w.record(0)
	return err
}
