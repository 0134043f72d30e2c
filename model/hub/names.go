package hub

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a hub may say.
const (
	maxName      = 1024    // bytes of a path
	maxComponent = 255     // bytes of one part of it, as file systems have it
	maxFiles     = 10_000  // files of a repository
	maxShards    = 1024    // files of one model; the largest have some 200
	maxSize      = 1 << 44 // bytes of a file: 16 TiB
	maxListing   = 32 << 20
	maxIndex     = 64 << 20 // as model/checkpoint has it
)

// checkListed refuses what no Git repository can hold, so that it is a hub gone
// wrong, or worse, that speaks.
func checkListed(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("file name: got %d bytes, want 1 to %d", len(name), maxName)
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("file name %s: not a path inside the repository", quote(name))
		case strings.ContainsRune(part, 0):
			return fmt.Errorf("file name %s: holds NUL", quote(name))
		}
	}
	return nil
}

// checkWritable accepts the path of a file that may be created on any system.
func checkWritable(name string) error {
	if err := checkListed(name); err != nil {
		return err
	}
	if !utf8.ValidString(name) || strings.ContainsAny(name, `\:`) {
		return fmt.Errorf("file name %s: not one for every system", quote(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		// 255 with the ending of a temporary file.
		if len(part) > maxComponent-16 {
			return fmt.Errorf("file name %s: a part of %d bytes, want at most %d", quote(name), len(part), maxComponent-16)
		}
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("file name %s: holds what cannot be printed", quote(name))
		}
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("file name %s: not a path inside the repository", quote(name))
	}
	return nil
}

// checkRevision accepts a branch, tag or commit as Git has it, which becomes a
// path below refs/.
func checkRevision(revision string) error {
	if err := checkWritable(revision); err != nil || len(revision) > maxComponent || strings.HasPrefix(revision, "-") {
		return fmt.Errorf("revision %s: not a branch, tag or commit", quote(revision))
	}
	return nil
}

// isHex says whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range n {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}

func isCommit(s string) bool { return isHex(s, 40) }

// isOID says whether s names its content: a sha256, or the sha1 of a Git blob.
func isOID(s string) bool { return isHex(s, 64) || isHex(s, 40) }

// quote shows foreign text in one line, not too long of it.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strconv.Quote(s)
}

// plain is foreign text for a message: printable, in one line, not too long.
func plain(s string) string {
	q := quote(strings.TrimSpace(s))
	return q[1 : len(q)-1]
}

// splitSet gives all files of a model split as NAME-00001-of-0000N.gguf, of which
// name is one; else name alone.
func splitSet(name string) ([]string, error) {
	stem, ok := strings.CutSuffix(name, ".gguf")
	const tail = len("-00001-of-00002")
	if !ok || len(stem) <= tail {
		return []string{name}, nil
	}
	head, end := stem[:len(stem)-tail], stem[len(stem)-tail:]
	if end[0] != '-' || end[6:10] != "-of-" {
		return []string{name}, nil
	}
	part, err := strconv.ParseUint(end[1:6], 10, 32)
	count, err2 := strconv.ParseUint(end[10:], 10, 32)
	if err != nil || err2 != nil {
		return []string{name}, nil
	}
	if part < 1 || part > count || count > maxShards {
		return nil, errors.New("part " + end[1:6] + " of " + end[10:] + " is none")
	}
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%05d-of-%05d.gguf", head, i+1, count)
	}
	return names, nil
}
