package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxRedirects = 10
	maxWait      = 30 * time.Second // between tries, where the hub names no time
	maxAsked     = 5 * time.Minute  // that the hub may ask to wait
)

// conn speaks with one hub.
type conn struct {
	client  *http.Client // follows no redirect by itself
	base    *url.URL
	token   string
	retries int
	backoff time.Duration
	stall   time.Duration
}

func newConn(o Options) (*conn, error) {
	base, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, err
	}
	for _, r := range o.Token {
		if r <= ' ' || r > '~' {
			return nil, errors.New("token: holds what no token has, a space, a line break or a foreign letter")
		}
	}
	client := &http.Client{Transport: newTransport(o.Parallel)}
	if o.Client != nil {
		*client = *o.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &conn{client, base, o.Token, max(o.Retries, 0), o.Backoff, o.Stall}, nil
}

// newTransport speaks HTTP/1 only, so that a silent connection holds up one file,
// and is not used again.
func newTransport(parallel int) *http.Transport {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    15 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		MaxIdleConnsPerHost:    parallel,
		IdleConnTimeout:        30 * time.Second,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// close lets go of the connections, but for those of a client that was given.
func (c *conn) close(o Options) {
	if o.Client == nil {
		c.client.CloseIdleConnections()
	}
}

// url is an address on the hub; the parts are escaped one by one.
func (c *conn) url(parts ...string) *url.URL {
	u := *c.base
	u.RawPath = u.EscapedPath()
	for _, part := range parts {
		u.Path += "/" + part
		u.RawPath += "/" + url.PathEscape(part)
	}
	return &u
}

// temporary is an error after which another try may succeed.
type temporary struct {
	error
	after time.Duration // asked for by the hub, or 0
}

func (t temporary) Unwrap() error { return t.error }

var errStalled = errors.New("no byte came for too long")

// watch gives a context that ends when fed is not called for the stall time.
func (c *conn) watch(ctx context.Context) (_ context.Context, fed, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.stall, func() { cancel(errStalled) })
	return ctx, func() { timer.Reset(c.stall) }, func() { timer.Stop(); cancel(nil) }
}

// once sends a request and follows nothing. The token goes to the hub's own
// origin only. The context is one of watch.
func (c *conn) once(ctx context.Context, method string, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "armor")
	req.Header.Set("Accept-Encoding", "identity") // lengths and ranges are the file's own
	if c.token != "" && sameOrigin(u, c.base) {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, failed(ctx, u, err)
	}
	return resp, nil
}

// failed says what became of a connection. Signed addresses are not repeated in
// messages: they are secret, and long.
func failed(ctx context.Context, u *url.URL, err error) error {
	if cause := context.Cause(ctx); cause == errStalled {
		return temporary{error: fmt.Errorf("%s: %w", u.Host, errStalled)}
	} else if cause != nil {
		return cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	err = fmt.Errorf("%s: %w", u.Host, err)
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	if errors.As(err, &certificate) || errors.As(err, &dns) && dns.IsNotFound {
		return err
	}
	return temporary{error: err}
}

func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		if p := u.Port(); p != "" {
			return p
		}
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

// target is where a redirect leads.
func target(resp *http.Response) (*url.URL, error) {
	u, err := resp.Location()
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%s: redirect to %s", resp.Request.URL.Host, quote(resp.Header.Get("Location")))
	}
	if resp.Request.URL.Scheme == "https" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s: redirect to %s, which is not encrypted", resp.Request.URL.Host, quote(u.Host))
	}
	return u, nil
}

// get follows redirects to the answer, the caller closes its body. A status
// other than 200 and 206 is an error.
func (c *conn) get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	for range maxRedirects {
		resp, err := c.once(ctx, http.MethodGet, u, header)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
			if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
				resp.Body.Close()
				return nil, temporary{error: fmt.Errorf("%s: Content-Encoding: got %s, want none", u.Host, quote(e))}
			}
			return resp, nil
		}
		resp.Body.Close()
		if !isRedirect(resp.StatusCode) {
			return nil, c.status(resp)
		}
		if u, err = target(resp); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: more than %d redirects", c.base.Host, maxRedirects)
}

// head asks for the headers of a file, following redirects within the hub: one
// that leads elsewhere has the headers itself.
func (c *conn) head(ctx context.Context, u *url.URL) (*metaReader, error) {
	ctx, _, stop := c.watch(ctx)
	defer stop()
	m := &metaReader{}
	for range maxRedirects {
		resp, err := c.once(ctx, http.MethodHead, u, nil)
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		redirect := isRedirect(resp.StatusCode)
		if !redirect && resp.StatusCode != http.StatusOK {
			return nil, c.status(resp)
		}
		m.see(resp.Header, redirect)
		if !redirect {
			return m, nil
		}
		if u, err = target(resp); err != nil {
			return nil, err
		}
		if !sameOrigin(u, c.base) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%s: more than %d redirects", c.base.Host, maxRedirects)
}

// read gets a short answer whole.
func (c *conn) read(ctx context.Context, u *url.URL, limit int64) ([]byte, error) {
	ctx, fed, stop := c.watch(ctx)
	defer stop()
	resp, err := c.get(ctx, u, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(feeding{resp.Body, fed}, limit+1))
	if err != nil {
		return nil, failed(ctx, u, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%s: an answer of more than %d bytes", u.Host, limit)
	}
	return body, nil
}

// feeding tells of every byte that is read.
type feeding struct {
	io.Reader
	fed func()
}

func (f feeding) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if n > 0 {
		f.fed()
	}
	return n, err
}

// retry calls try until it succeeds, fails for good, or has failed too often in a
// row without the progress that it reports. note hears of each failure.
func (c *conn) retry(ctx context.Context, note func(error), try func() (progress bool, err error)) error {
	failures := 0
	for {
		progress, err := try()
		var t temporary
		if !errors.As(err, &t) {
			return err
		}
		if progress {
			failures = 0
		}
		if failures++; failures > c.retries {
			return fmt.Errorf("%w; gave up after %d tries", err, failures)
		}
		wait := min(c.backoff<<min(failures-1, 10), max(maxWait, c.backoff))
		wait -= time.Duration(rand.Int64N(int64(wait)/4 + 1)) // several files shall not knock at once
		if t.after > maxAsked {
			return fmt.Errorf("%w, and asks to wait %s", err, t.after)
		}
		note(err)
		select {
		case <-time.After(max(wait, t.after)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
