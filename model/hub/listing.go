package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// listing is what the hub says of a repository at one revision.
type listing struct {
	commit string
	files  map[string]int64 // size of each, -1 where the hub does not say
	names  []string         // sorted
}

func (l *listing) has(name string) bool { _, ok := l.files[name]; return ok }

// parseListing reads the answer of /api/models/REPO/revision/REVISION?blobs=true.
func parseListing(body []byte) (*listing, error) {
	var answer struct {
		SHA      string `json:"sha"`
		Disabled bool   `json:"disabled"`
		Siblings []struct {
			Name string `json:"rfilename"`
			Size *int64 `json:"size"`
		} `json:"siblings"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the list of files: %w; is this a hub?", err)
	}
	switch {
	case answer.Disabled:
		return nil, errors.New("the hub has disabled this repository")
	case !isCommit(answer.SHA):
		return nil, fmt.Errorf("the list of files: sha: got %s, want a commit", quote(answer.SHA))
	case len(answer.Siblings) > maxFiles:
		return nil, fmt.Errorf("the list of files: got %d files, want at most %d", len(answer.Siblings), maxFiles)
	}
	l := &listing{commit: answer.SHA, files: make(map[string]int64, len(answer.Siblings))}
	for _, s := range answer.Siblings {
		if err := checkListed(s.Name); err != nil {
			return nil, fmt.Errorf("the list of files: %w", err)
		}
		if l.has(s.Name) {
			return nil, fmt.Errorf("the list of files: %s stands there twice", quote(s.Name))
		}
		size := int64(-1)
		if s.Size != nil {
			if size = *s.Size; size < 0 || size > maxSize {
				return nil, fmt.Errorf("the list of files: %s: size: got %d, want 0 to %d", quote(s.Name), size, int64(maxSize))
			}
		}
		l.files[s.Name] = size
		l.names = append(l.names, s.Name)
	}
	slices.Sort(l.names)
	return l, nil
}

// meta is what the hub says of one file at one commit.
type meta struct {
	etag string // the name of its blob: sha256, or Git's sha1, in hex
	size int64
}

// metaReader gathers the headers of a HEAD request along its redirects.
type metaReader struct {
	commit, linkedETag, linkedSize string // of the last hop that has them
	etag, length                   string // of the answer itself
}

// see takes the headers of one hop; a redirect's own length and ETag are those of
// its page, not of the file.
func (m *metaReader) see(h http.Header, redirect bool) {
	for name, field := range map[string]*string{
		"X-Repo-Commit": &m.commit, "X-Linked-Etag": &m.linkedETag, "X-Linked-Size": &m.linkedSize,
	} {
		if v := h.Get(name); v != "" {
			*field = v
		}
	}
	m.etag, m.length = "", ""
	if !redirect {
		m.etag, m.length = h.Get("ETag"), h.Get("Content-Length")
	}
}

// file checks that the headers speak of this commit and, where the listing gave
// a size (not -1), of this size.
func (m *metaReader) file(commit string, listed int64) (meta, error) {
	if m.commit != commit {
		return meta{}, fmt.Errorf("X-Repo-Commit: got %s, want %s; is this a hub?", quote(m.commit), commit)
	}
	etag := m.linkedETag
	if etag == "" {
		etag = m.etag
	}
	f := meta{etag: trimETag(etag), size: listed}
	if !isOID(f.etag) {
		return meta{}, fmt.Errorf("ETag: got %s, want a sha256, or a Git sha1, of the file", quote(etag))
	}
	length := m.linkedSize
	if length == "" {
		length = m.length
	}
	if length != "" {
		n, err := parseSize(length)
		if err != nil {
			return meta{}, err
		}
		if listed >= 0 && n != listed {
			return meta{}, fmt.Errorf("size: got %d, want %d as in the list of files", n, listed)
		}
		f.size = n
	}
	if f.size < 0 {
		return meta{}, errors.New("size: the hub does not say it")
	}
	return f, nil
}

// trimETag takes the quotes, and the mark of a weak tag, from an ETag.
func trimETag(etag string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(etag), "W/"), `"`)
}

func parseSize(s string) (int64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 63)
	if err != nil || n > maxSize {
		return 0, fmt.Errorf("size: got %s, want 0 to %d", quote(s), int64(maxSize))
	}
	return int64(n), nil
}

// checkContentRange wants "bytes FROM-LAST/SIZE" to be the rest of the file.
func checkContentRange(s string, from, size int64) error {
	var rest [3]int64
	text, ok := strings.CutPrefix(s, "bytes ")
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == '-' || r == '/' })
	ok = ok && len(fields) == 3
	for i := range rest {
		var err error
		if ok {
			rest[i], err = parseSize(fields[i])
			ok = err == nil
		}
	}
	if !ok || rest != [3]int64{from, size - 1, size} {
		return fmt.Errorf("Content-Range: got %s, want bytes %d-%d/%d", quote(s), from, size-1, size)
	}
	return nil
}
