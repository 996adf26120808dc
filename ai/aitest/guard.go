package aitest

import (
	"bytes"
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
type value struct {
	name string
	text []byte
}

func newGuard() *guard {
	g := new(guard)
	for _, l := range [][2]string{
		{"what looks like a key of a provider", `\b(sk|gsk|xai|pplx|r8|hf)[-_][A-Za-z0-9_-]{16,}`},
		{"what looks like a key of Google", `\bAIza[0-9A-Za-z_-]{30,}`},
		{"what looks like a bearer token", `(?i)\bbearer [A-Za-z0-9._~+/-]{16,}`},
		{"what looks like a token of GitHub", `\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})`},
		{"what looks like a token of GitLab", `\bglpat-[A-Za-z0-9_-]{16,}`},
		{"what looks like a name with its password", `(?i)\bbasic [A-Za-z0-9+/]{16,}`},
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
		if len(text) < 8 || !regexp.MustCompile(`(?i)KEY|TOKEN|SECRET|PASSW`).MatchString(name) {
			continue
		}
		g.values = append(g.values, value{name, []byte(text)})
		if quoted, err := json.Marshal(text); err == nil && string(quoted[1:len(quoted)-1]) != text { // in JSON within a text
			g.values = append(g.values, value{name, quoted[1 : len(quoted)-1]})
		}
	}
	return g
}

// hideIt is what to do about a secret.
const hideIt = "; hide it with a pattern that fits it (Recording.Hide, --hide)"

// find says what there is in a call that must not be written, and where, without telling it; "": nothing.
func (g *guard) find(call taken) (string, error) {
	messages := make([]said, len(call.Request.Messages))
	for i, m := range call.Request.Messages {
		for k, f := range m.Files {
			if what := g.secret(f.Data); what != "" {
				return fmt.Sprintf("%s in the file request.messages[%d].files[%d]"+hideIt, what, i, k), nil
			}
		}
		m.Files = slices.Clone(m.Files)
		for k := range m.Files {
			m.Files[k].Data = nil
		}
		messages[i] = m
	}
	call.Request.Messages = messages
	b, err := json.Marshal(call)
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
		if what := g.secret([]byte(v)); what != "" {
			return what + " in " + at + hideIt
		}
	case []any:
		for i, x := range v {
			if what := g.walk(fmt.Sprintf("%s[%d]", at, i), x); what != "" {
				return what
			}
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if what := g.secret([]byte(k)); what != "" {
				return what + " in a name in " + at + "; names of fields are not hidden, so this cannot be written"
			}
			if what := g.walk(strings.TrimPrefix(at+"."+k, "."), v[k]); what != "" {
				return what
			}
		}
	}
	return ""
}

// secret says what looks like a key in a text or file; "" if nothing does.
func (g *guard) secret(s []byte) string {
	for _, l := range g.looks {
		if l.pattern.Match(s) {
			return l.what
		}
	}
	for _, v := range g.values {
		if bytes.Contains(s, v.text) {
			return "the value of " + v.name
		}
	}
	return ""
}
