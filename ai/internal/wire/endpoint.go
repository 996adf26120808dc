package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Config is what the providers of all wires have in common.
type Config struct {
	Provider string // in errors

	BaseURL string // or else
	BaseEnv string // a variable, or else
	Default string

	KeyEnv      string   // the variable of the key, or else
	KeyVars     []string // the first of these that is set
	KeyOptional bool     // no key is no error
	KeyHeader   string
	KeyPrefix   string // before the key in the header

	HTTP   *http.Client
	Header http.Header
	Getenv func(string) string
}

// Endpoint is a model at an address, with what it takes to ask it. Printed, it shows no key.
type Endpoint struct {
	provider string
	model    string
	base     string
	bucket   string
	hint     string // where the key is from
	client   *http.Client
	// The key and the headers hide behind functions, so that nothing that prints or logs a value finds them.
	key     func() string
	headers func() http.Header
}

// Open reads the key and the address. It sends nothing.
func (c Config) Open(name string) (*Endpoint, error) {
	refuse := func(format string, args ...any) error {
		return &model.Error{Kind: model.Invalid, Provider: c.Provider, Model: name, Err: fmt.Errorf(format, args...)}
	}
	if strings.TrimSpace(name) == "" {
		return nil, refuse("no name of a model")
	}
	vars := c.KeyVars
	if c.KeyEnv != "" {
		vars = []string{c.KeyEnv}
	}
	key, hint := "", ""
	if len(vars) > 0 {
		hint = "no key was sent; one is taken from " + strings.Join(vars, " or ")
	}
	for _, v := range vars {
		if key = strings.TrimSpace(c.Getenv(v)); key != "" {
			hint = "the key is that of " + v
			break
		}
	}
	if key == "" && !c.KeyOptional {
		return nil, refuse("no key: set %s", strings.Join(vars, " or "))
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r > 0xff }) {
		return nil, refuse("the key in %s has characters in it that no key has, such as a line break", strings.Join(vars, " or "))
	}
	from, base := "the base URL", c.BaseURL
	if base == "" && c.BaseEnv != "" {
		from, base = c.BaseEnv, strings.TrimSpace(c.Getenv(c.BaseEnv))
	}
	if base == "" {
		from, base = "the base URL", c.Default
	}
	u, err := url.Parse(base)
	switch {
	case err != nil: // the error would repeat the URL, in which may be a password
		return nil, refuse("%s is not a URL", from)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, refuse("%s has to begin with http:// or https:// and a host", from)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, refuse("%s may not have a user, a query or a fragment", from)
	}
	base = u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/")

	sum := sha256.Sum256([]byte("durable: bucket of a key\n" + key))
	header := http.Header{}
	if key != "" {
		header.Set(c.KeyHeader, c.KeyPrefix+key)
	}
	for k, values := range c.Header {
		header[http.CanonicalHeaderKey(k)] = append([]string(nil), values...)
	}
	e := &Endpoint{
		provider: c.Provider, model: name, base: base, hint: hint,
		bucket:  c.Provider + "@" + base + "#" + hex.EncodeToString(sum[:8]),
		client:  client(c.HTTP),
		key:     func() string { return key },
		headers: func() http.Header { return header },
	}
	return e, nil
}

// Model is the name that was opened.
func (e *Endpoint) Model() string { return e.model }

// Host is the host of the address, without its port.
func (e *Endpoint) Host() string {
	u, err := url.Parse(e.base)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Bucket names what shares limits: provider, address, and a fingerprint of the key.
func (e *Endpoint) Bucket() string { return e.bucket }

// String has no key in it.
func (e *Endpoint) String() string { return e.provider + ":" + e.model + "@" + e.base }

// Refuse is the error of a request that cannot be sent on this wire.
func (e *Endpoint) Refuse(format string, args ...any) *model.Error {
	return &model.Error{Kind: model.Invalid, Provider: e.provider, Model: e.model, Err: fmt.Errorf(format, args...)}
}

// client returns what sends: the caller's, or one that all share. Neither follows redirects, which
// could take a key to another host.
func client(given *http.Client) *http.Client {
	c := http.Client{}
	if given != nil {
		c = *given
	}
	if c.Transport == nil {
		c.Transport = transport()
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// transport is the pool of connections of all who bring none of their own. There is no limit
// of time for a whole answer; the try's idle time is what ends silence.
//
// lint:var one pool of connections for the process, as http.DefaultTransport is
var transport = sync.OnceValue(func() *http.Transport {
	return &http.Transport{
		Proxy:                 proxy,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Minute,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   16,
		ForceAttemptHTTP2:     true,
	}
})

// proxy is HTTPS_PROXY and NO_PROXY, for https only: there the proxy cannot see the key. A plain
// address is asked directly, whatever HTTP_PROXY says.
func proxy(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme != "https" {
		return nil, nil
	}
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("HTTPS_PROXY is not the address of a proxy")
	}
	return u, nil
}
