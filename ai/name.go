package ai

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// spec is what a name leads to: a model of a provider, maybe at an address of its own.
type spec struct {
	provider string
	url      string // of wire@url
	name     string
}

// String is the full model string: parse reads it.
func (s spec) String() string {
	if s.provider == "" {
		return ""
	}
	if _, host, _ := strings.Cut(s.url, "://"); s.url != "" && !strings.Contains(host, "/") {
		return s.where() + "/:" + s.name
	}
	return s.where() + ":" + s.name
}

// where is the provider and its address.
func (s spec) where() string {
	if s.url == "" {
		return s.provider
	}
	return s.provider + "@" + s.url
}

// maxAliases is how many aliases may lead to each other.
const maxAliases = 8

// variable is the name of the environment variable that says what a model name means.
func variable(name string) string { return "AI_MODEL_" + shout(name) }

// shout is a text as part of the name of a variable.
func shout(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, text)
}

// resolve follows the aliases from a name that code has given. Only what configuration and environment
// say may hold an address, so the data of a run can never choose a host.
func (c *Client) resolve(name string) (spec, error) {
	at, trusted := name, false
	for range maxAliases {
		to := c.cfg.Getenv(variable(at))
		if to == "" {
			to = c.cfg.Aliases[at]
		}
		if to == "" || to == at {
			s, err := parse(at, trusted)
			if err != nil && at != name {
				err = fmt.Errorf("%q: %w", name, err)
			}
			return s, err
		}
		at, trusted = to, true
	}
	return spec{}, fmt.Errorf("%q: the aliases lead on and on, as from %q", name, at)
}

// maxName is how long a model string may be.
const maxName = 400

// printable says whether a text is UTF-8 without control characters.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// parse reads a full model string.
func parse(text string, trusted bool) (spec, error) {
	provider, rest, ok := strings.Cut(text, ":")
	switch {
	case len(text) > maxName || !printable(text):
		return spec{}, fmt.Errorf("%q is no model: a name has at most %d bytes, and no control characters", clip(text, 80), maxName)
	case !ok:
		return spec{}, fmt.Errorf("%q is not set: give Config.Aliases[%q], or %s, a model such as anthropic:NAME", text, text, variable(text))
	case provider == "" || rest == "":
		return spec{}, fmt.Errorf("%q is no model: it reads provider:name", text)
	}
	wire, _, addressed := strings.Cut(provider, "@")
	if !addressed {
		return spec{provider: provider, name: rest}, nil
	}
	if !trusted {
		return spec{}, fmt.Errorf("%q has an address in it, which only configuration and environment may choose: make it an alias", clip(wire+"@…", 80))
	}
	return parseAddress(text)
}

// parseAddress reads wire@url:model. The URL ends at the first colon after the slash of its path.
func parseAddress(text string) (spec, error) {
	wire, rest, _ := strings.Cut(text, "@")
	scheme, after, ok := strings.Cut(rest, "://")
	slash := strings.Index(after, "/")
	if !ok || slash < 0 {
		return spec{}, fmt.Errorf("%q: after the @ comes a URL with a path, as in openai-chat@http://127.0.0.1:8000/v1:qwen3", wire+"@…")
	}
	path, name, ok := strings.Cut(after[slash:], ":")
	if !ok || name == "" {
		return spec{}, fmt.Errorf("%q: after the URL come a colon and the name of a model", wire+"@…")
	}
	address := scheme + "://" + after[:slash] + path
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || scheme != "http" && scheme != "https":
		return spec{}, fmt.Errorf("%q: what comes after the @ is no URL of http or https", wire+"@…")
	case u.User != nil:
		return spec{}, fmt.Errorf("%q: a URL holds no user and password; the key is in AI_KEY_%s", wire+"@…", shout(u.Hostname()))
	case u.RawQuery != "" || u.Fragment != "":
		return spec{}, fmt.Errorf("%q: a URL of a model has no query", wire+"@…")
	}
	return spec{provider: wire, url: strings.TrimSuffix(address, "/"), name: name}, nil
}
