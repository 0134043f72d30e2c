package prune

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"armor/model/atomicfile"
	"armor/prune/calib"
	"armor/prune/solve"
)

// state is what is known of an unfinished job. It is written last, after the
// files that it names, and whole or not at all.
type state struct {
	Version     int
	Model       string // folder of the dense model
	Text        string // file of calibration text
	Recipe      Recipe
	Source      map[string]string // SHA-256 by file of the dense model
	Calibration calib.Info
	First, End  int // layers of this job
	Modules     map[string]moduleState
	KL          map[string][]float64 // sensitivities measured so far, by window
	Finished    bool                 // the folder is whole and about to be moved to its place
	LossPerKL   float64              // 0: not measured yet
	Seconds     float64              // of work so far, of all runs
	Digest      string               // SHA-256 of all of the above
}

// moduleState is a module that is done.
type moduleState struct {
	SHA256  string // of its file
	Method  solve.Method
	Start   float64 // losses, see solve.Result
	End     float64
	Rounded float64
	Steps   int
	Seconds float64
	Curve   []float64
}

const (
	stateVersion = 1
	stateFile    = "state.json"
	maxState     = 64 << 20
)

func (s *state) digest() (string, error) {
	c := *s
	c.Digest = ""
	data, err := json.Marshal(&c)
	if err != nil {
		return "", err
	}
	return hashText(string(data)), nil
}

func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (s *state) save(dir string) (err error) {
	if s.Digest, err = s.digest(); err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, stateFile), bytes.NewReader(data))
}

// loadState reads the state in dir; fs.ErrNotExist where there is none.
func loadState(dir string) (*state, error) {
	path := filepath.Join(dir, stateFile)
	data, err := readFile(path, maxState)
	if err != nil {
		return nil, err
	}
	s := &state{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: damaged: %w", path, err)
	}
	want, err := s.digest()
	if err != nil {
		return nil, err
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("%s: version: got %d, want %d", path, s.Version, stateVersion)
	}
	if s.Digest != want {
		return nil, fmt.Errorf("%s: damaged: its checksum does not fit what it says", path)
	}
	return s, nil
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, atomicfile.Cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, atomicfile.Cause(err))
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s: too large: want at most %d bytes", path, most)
	}
	return data, nil
}

// moduleFile is where a module is kept.
func moduleFile(dir, name string) string { return filepath.Join(dir, name+".layer") }

// publish writes a module and then the state that names it.
func (s *state) publish(dir, name string, r *solve.Result) error {
	data, err := encodeLayer(&r.Layer)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := atomicfile.Write(moduleFile(dir, name), bytes.NewReader(data)); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	s.Modules[name] = moduleState{SHA256: hex.EncodeToString(sum[:]), Method: s.Recipe.Method, Start: r.LossStart, End: r.LossEnd,
		Rounded: r.LossRounded, Steps: r.Steps, Seconds: r.Seconds, Curve: r.Curve}
	return s.save(dir)
}

// layer reads a module that is done.
func (s *state) layer(dir string, m *Module) (*solve.Layer, error) {
	path := moduleFile(dir, m.Name)
	done, ok := s.Modules[m.Name]
	if !ok {
		return nil, fmt.Errorf("%s: %s is not done", filepath.Join(dir, stateFile), m.Name)
	}
	data, err := readFile(path, 8*m.Weights()+1<<20)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, atomicfile.Cause(err))
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != done.SHA256 {
		return nil, fmt.Errorf("%s: damaged: sha256: got %x, want %s", path, sum, done.SHA256)
	}
	l, err := decodeLayer(data, m.Out, m.In)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// differs names what a job's settings and sources have that those of an
// unfinished job have not, "" if nothing.
func (s *state) differs(o *state) string {
	var out []string
	if a, b := asJSON(s.Recipe), asJSON(o.Recipe); a != b {
		out = append(out, fmt.Sprintf("settings (%s, now %s)", b, a))
	}
	for name, sum := range s.Source {
		if o.Source[name] != sum {
			out = append(out, "the model's "+name)
		}
	}
	for name := range o.Source {
		if _, ok := s.Source[name]; !ok {
			out = append(out, "the model's "+name)
		}
	}
	if a, b := asJSON(s.Calibration), asJSON(o.Calibration); a != b {
		out = append(out, "the calibration data")
	}
	if s.First != o.First || s.End != o.End {
		out = append(out, fmt.Sprintf("the layers (%d:%d, now %d:%d)", o.First, o.End, s.First, s.End))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// sourceDigests is the SHA-256 of each file of a model folder that its weights
// and tokens come from.
func sourceDigests(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, atomicfile.Cause(err))
	}
	sums := map[string]string{}
	for _, e := range entries {
		if name := e.Name(); !strings.HasSuffix(name, ".safetensors") && name != "config.json" && name != "tokenizer.json" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, atomicfile.Cause(err))
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, atomicfile.Cause(err))
		}
		sums[filepath.Base(path)] = hex.EncodeToString(h.Sum(nil))
	}
	return sums, nil
}
