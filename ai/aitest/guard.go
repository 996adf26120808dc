package aitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// guard finds what must not be written: what looks like a key.
type guard struct {
	looks  []look
	values []value
}

type look struct {
	what    string
	pattern *regexp.Regexp
}

// value is that of a variable of the environment which holds a secret.
type value struct{ name, text string }

func newGuard() *guard {
	g := new(guard)
	for _, l := range [][2]string{
		{"what looks like a key of a provider", `\b(sk|gsk|xai|pplx|r8|hf)[-_][A-Za-z0-9_-]{16,}`},
		{"what looks like a key of Google", `\bAIza[0-9A-Za-z_-]{30,}`},
		{"what looks like a bearer token", `(?i)\bbearer [A-Za-z0-9._~+/-]{16,}`},
		{"what looks like a token of GitHub", `\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})`},
		{"what looks like a key of AWS", `\b(AKIA|ASIA)[0-9A-Z]{16}\b`},
		{"what looks like a token of Slack", `\bxox[abprs]-[A-Za-z0-9-]{10,}`},
		{"a private key", `-----BEGIN [A-Z ]*PRIVATE KEY-----`},
		{"what looks like a signed token", `\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.`},
		{"a password within what looks like a URL", `://[^/\s:@"]+:[^/\s:@"]+@`},
	} {
		g.looks = append(g.looks, look{l[0], regexp.MustCompile(l[1])})
	}
	for _, line := range os.Environ() {
		name, text, _ := strings.Cut(line, "=")
		for _, end := range []string{"_KEY", "_TOKEN", "_SECRET", "_PASSWORD"} {
			if strings.HasSuffix(name, end) && len(text) >= 8 {
				g.values = append(g.values, value{name, text})
			}
		}
	}
	return g
}

// find says what there is in v that must not be written, and where, without telling it; "": nothing.
func (g *guard) find(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	tree, err := decoded(b)
	if err != nil {
		return "", err
	}
	return g.walk("", tree), nil
}

func (g *guard) walk(at string, v any) string {
	switch v := v.(type) {
	case string:
		if what := g.secret(v); what != "" {
			return what + " in " + at
		}
	case []any:
		for i, x := range v {
			if what := g.walk(fmt.Sprintf("%s[%d]", at, i), x); what != "" {
				return what
			}
		}
	case map[string]any:
		if data, isText := fileOf(v); isText {
			if what := g.secret(string(data)); what != "" {
				return what + " in the file " + at
			}
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if what := g.secret(k); what != "" {
				return what + " in a name in " + at
			}
			if what := g.walk(strings.TrimPrefix(at+"."+k, "."), v[k]); what != "" {
				return what
			}
		}
	}
	return ""
}

// secret says what looks like a key in a text; "" if nothing does.
func (g *guard) secret(s string) string {
	for _, l := range g.looks {
		if l.pattern.MatchString(s) {
			return l.what
		}
	}
	for _, v := range g.values {
		if strings.Contains(s, v.text) {
			return "the value of " + v.name
		}
	}
	return ""
}
