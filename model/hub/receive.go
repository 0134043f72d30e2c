package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// receive asks for the bytes of a blob that are missing and appends what comes.
func (c *conn) receive(ctx context.Context, u *url.URL, d *partial, step func()) error {
	if d.done == d.meta.size {
		return nil
	}
	ctx, fed, stop := c.watch(ctx)
	defer stop()
	header := http.Header{}
	if d.done > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.done))
	}
	resp, err := c.get(ctx, u, header)
	if errors.Is(err, errRange) {
		return errors.Join(err, d.restart())
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.accept(resp, c.base); err != nil {
		return err
	}
	buf := make([]byte, chunk)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			fed()
			if err := d.append(buf[:n]); err != nil {
				return err
			}
			step()
		}
		switch {
		case err == nil:
		case d.done == d.meta.size: // the hash will tell
			return nil
		case err == io.EOF:
			return temporary{error: fmt.Errorf("%s: the connection ended at byte %d of %d", resp.Request.URL.Host, d.done, d.meta.size)}
		default:
			return failed(ctx, resp.Request.URL, err)
		}
	}
}

// accept checks that an answer is the part of the file that was asked for. A
// server that knows no ranges sends the whole.
func (d *partial) accept(resp *http.Response, base *url.URL) error {
	host := resp.Request.URL.Host
	if sameOrigin(resp.Request.URL, base) { // elsewhere an ETag is another kind of hash
		etag := resp.Header.Get("X-Linked-Etag")
		if etag == "" {
			etag = resp.Header.Get("ETag")
		}
		if etag = trimETag(etag); isOID(etag) && etag != d.meta.etag {
			return fmt.Errorf("%w: ETag: got %s, want %s", errChanged, etag, d.meta.etag)
		}
	}
	if resp.StatusCode == http.StatusPartialContent {
		if err := checkContentRange(resp.Header.Get("Content-Range"), d.done, d.meta.size); err != nil {
			return errors.Join(temporary{error: fmt.Errorf("%s: %w", host, err)}, d.restart())
		}
	} else if d.done > 0 {
		if err := d.restart(); err != nil {
			return err
		}
	}
	if want := d.meta.size - d.done; resp.ContentLength >= 0 && resp.ContentLength != want {
		return temporary{error: fmt.Errorf("%s: Content-Length: got %d, want %d", host, resp.ContentLength, want)}
	}
	return nil
}

// append takes the next bytes of the file.
func (d *partial) append(b []byte) error {
	if int64(len(b)) > d.meta.size-d.done {
		return errors.Join(temporary{error: fmt.Errorf("more than the %d bytes announced", d.meta.size)}, d.restart())
	}
	if _, err := d.file.WriteAt(b, d.done); err != nil {
		return err
	}
	d.hash.Write(b)
	d.done += int64(len(b))
	d.best = max(d.best, d.done)
	return nil
}
