package armorfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"armor/model/atomicfile"
	"armor/model/checkpoint"
)

// Target is a new model folder made of another, the source, which stays as it is.
type Target struct {
	Dir     string
	created bool
	files   []string // written so far
}

// NewTarget makes the folder dir. It may be there if it is empty, and must not be
// the source or inside it.
func NewTarget(dir string, source *checkpoint.Checkpoint) (*Target, error) {
	if err := Outside(dir, source.Path); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	t := &Target{Dir: dir}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.MkdirAll(dir, 0o755)
		t.created = true
	case err == nil && len(entries) > 0:
		err = fmt.Errorf("not empty: it has %q, want a new or an empty folder", entries[0].Name())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, atomicfile.Cause(err))
	}
	return t, nil
}

// Outside refuses a target within the source. What is there of the target's path
// decides, so links do not hide it.
func Outside(target, source string) error {
	from, err := os.Stat(source)
	if err != nil {
		return nil // not a folder of this system, such as an embedded model
	}
	path, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	for {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		if info, err := os.Stat(path); err == nil && os.SameFile(info, from) {
			return fmt.Errorf("it is the model's folder %s or inside it, want another", source)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return nil
		}
		path = parent
	}
}

// WriteFile writes one file of the folder.
func (t *Target) WriteFile(name string, content io.Reader) error {
	t.files = append(t.files, name)
	return atomicfile.Write(filepath.Join(t.Dir, name), content)
}

// copied are the files that belong to a model's text and license.
var copied = []string{"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json",
	"generation_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
	"tokenizer.model", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt", "USE_POLICY.md"}

// CopyFiles copies the tokenizer and what else goes with a model byte for byte.
func (t *Target) CopyFiles(source *checkpoint.Checkpoint) error {
	for _, name := range copied {
		f, err := source.OpenFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = t.WriteFile(name, f)
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove takes back what has been written, and the folder if it is new.
func (t *Target) Remove() {
	for _, name := range t.files {
		os.Remove(filepath.Join(t.Dir, name))
	}
	if t.created {
		os.Remove(t.Dir)
	}
}
