package hub

import (
	"fmt"
	"net/http"
	"strings"
)

// refusal is an answer of the hub that no other try will change.
type refusal struct {
	status  int
	code    string // X-Error-Code, the hub's own name of it
	message string // X-Error-Message
	token   bool   // a token was sent
	url     string // of the hub, for its pages
}

// status makes an error of an answer that is neither a file nor a redirect.
func (c *conn) status(resp *http.Response) error {
	host := resp.Request.URL.Host
	line := fmt.Sprintf("%s: %d %s", host, resp.StatusCode, http.StatusText(resp.StatusCode))
	switch s := resp.StatusCode; {
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests, s >= 500:
		return temporary{fmt.Errorf("%s", line), retryAfter(resp.Header)}
	case s == http.StatusRequestedRangeNotSatisfiable:
		return temporary{error: errRange}
	case !sameOrigin(resp.Request.URL, c.base):
		// A signed address has run out; the hub gives another.
		return temporary{error: fmt.Errorf("%s", line)}
	}
	return &refusal{
		status: resp.StatusCode, code: resp.Header.Get("X-Error-Code"), message: resp.Header.Get("X-Error-Message"),
		token: c.token != "", url: c.base.String(),
	}
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("the hub answers %d %s", r.status, http.StatusText(r.status))
	if r.message != "" {
		s += " (" + plain(r.message) + ")"
	}
	return s
}

// explain says in one line what to do about a refusal.
func (r *refusal) explain(repo, revision string) error {
	page := r.url + "/" + repo
	switch {
	case r.code == "GatedRepo" && r.token:
		return fmt.Errorf("%s: gated: the account of HF_TOKEN has no access; ask for it at %s", repo, page)
	case r.code == "GatedRepo":
		return fmt.Errorf("%s: gated: accept its terms at %s, then set HF_TOKEN to a token of %s/settings/tokens",
			repo, page, r.url)
	case r.code == "RevisionNotFound":
		return fmt.Errorf("%s: no revision %s; see %s", repo, quote(revision), page)
	case r.code == "EntryNotFound":
		return fmt.Errorf("%s: the hub lists a file that it does not have", repo)
	case r.status == http.StatusUnauthorized && r.token && strings.Contains(strings.ToLower(r.message), "credentials"):
		return fmt.Errorf("%s: the hub does not accept HF_TOKEN: %w", repo, r)
	case r.status == http.StatusUnauthorized && !r.token:
		return fmt.Errorf("%s: no such repository, or a private or gated one: check the name at %s, or set HF_TOKEN: %w",
			repo, page, r)
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return fmt.Errorf("%s: no access; see %s, and check HF_TOKEN: %w", repo, page, r)
	case r.status == http.StatusNotFound:
		return fmt.Errorf("%s: no such repository at %s: %w", repo, r.url, r)
	}
	return fmt.Errorf("%s: %w", repo, r)
}
