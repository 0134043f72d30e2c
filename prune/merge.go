package prune

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"armor/model/atomicfile"
)

// Merge joins jobs that each pruned some layers of a model into the unfinished
// job of target, which needs only to be run to its end. Parts are targets of jobs
// with First and End, or their partial folders.
func Merge(target string, parts []string) (*Job, error) {
	j := &Job{Target: target}
	dir := j.Partial()
	if _, err := os.Stat(filepath.Join(dir, stateFile)); err == nil {
		return nil, fmt.Errorf("%s: an unfinished job is there", dir)
	}
	var all *state
	from := map[string]string{} // module → the part's folder
	for _, part := range parts {
		place, s, err := partState(part)
		if err != nil {
			return nil, err
		}
		if all == nil {
			first := *s
			all = &first
			all.First, all.Modules, all.KL = 0, map[string]moduleState{}, map[string][]float64{}
		}
		s.First, s.End = all.First, all.End // these may differ
		if what := s.differs(all); what != "" {
			return nil, fmt.Errorf("%s and %s: cannot be merged: they differ in %s", parts[0], part, what)
		}
		for name, m := range s.Modules {
			if at, ok := from[name]; ok {
				return nil, fmt.Errorf("%s: %s is in %s, too", place, name, at)
			}
			from[name], all.Modules[name] = place, m
		}
	}
	if all == nil {
		return nil, errors.New("nothing to merge")
	}
	j.Source, j.Calib, j.Recipe = all.Model, all.Text, all.Recipe
	r, err := j.start()
	if err != nil {
		return nil, err
	}
	defer r.ck.Close()
	for _, m := range r.modules {
		if _, ok := from[m.Name]; !ok {
			return nil, fmt.Errorf("%s: no part has it; all layers of the model are wanted", m.Name)
		}
	}
	all.First, all.End = 0, r.shape.Config.Layers
	if err := r.prepare(); err != nil {
		return nil, err
	}
	for i := range r.modules {
		name := r.modules[i].Name
		if err := copyFile(moduleFile(dir, name), moduleFile(from[name], name)); err != nil {
			return nil, err
		}
	}
	if err := all.save(dir); err != nil {
		return nil, err
	}
	return Unfinished(target)
}

// partState finds the state of a part.
func partState(part string) (dir string, s *state, err error) {
	j := &Job{Target: part}
	for _, dir := range []string{j.Partial(), part} {
		s, err := loadState(dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return dir, s, err
		}
	}
	return "", nil, fmt.Errorf("%s: no pruned layers are there", part)
}

func copyFile(to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%s: %w", from, atomicfile.Cause(err))
	}
	defer f.Close()
	return atomicfile.Write(to, f)
}
