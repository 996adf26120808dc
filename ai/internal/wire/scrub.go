package wire

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/model"
)

const (
	maxText     = 2 << 10 // bytes of a provider's text in an error
	keyWindow   = 8       // so many bytes of a key in a row are taken out
	quoteWindow = 24      // so many bytes of a prompt in a row are a quotation
)

// scrubber takes out of texts what must not stand in errors: keys and headers, and quotations of what was sent.
type scrubber struct {
	secrets []string // nothing of them, not even a part
	headers []string // not as a whole
	request *model.Request
}

func newScrubber(key string, h http.Header, r *model.Request) scrubber {
	s := scrubber{request: r}
	if key != "" {
		s.secrets = append(s.secrets, key)
	}
	for name, values := range h {
		for _, v := range values {
			if v == "" {
				continue
			}
			if secretive(name) {
				s.secrets = append(s.secrets, v)
			} else {
				s.headers = append(s.headers, v)
			}
		}
	}
	return s
}

// secretive says whether a header's name says that it holds a secret.
func secretive(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"auth", "key", "token", "secret", "cookie", "password", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// clean returns the text without secrets, on one line, at most maxText bytes.
func (s scrubber) clean(text string) string {
	if len(text) > 4*maxText {
		text = text[:4*maxText]
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	common := NewCommon(text)
	cut := common.Cut // bytes to take out
	for _, secret := range s.secrets {
		common.Mark(secret, min(keyWindow, len(secret)))
	}
	for _, v := range s.headers {
		if len(v) >= 4 {
			common.Mark(v, len(v))
		}
	}
	for _, sent := range s.sent() {
		if len(sent) >= keyWindow {
			common.Mark(sent, min(quoteWindow, len(sent)))
		}
	}
	markKeys(cut, text)
	var b strings.Builder
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case cut[i]:
			b.WriteString("[…]")
			for i < len(text) && (cut[i] || !utf8.RuneStart(text[i])) {
				i++
			}
			continue
		case text[i] < ' ' || text[i] == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	out := strings.TrimSpace(b.String())
	if len(out) > maxText {
		n := maxText
		for n > 0 && !utf8.RuneStart(out[n]) {
			n--
		}
		out = out[:n] + "…"
	}
	return out
}

// sent are the texts of the request.
func (s scrubber) sent() []string {
	if s.request == nil {
		return nil
	}
	all := []string{s.request.System}
	for _, m := range s.request.Messages {
		all = append(all, m.Text, string(m.Raw))
		for _, c := range m.Calls {
			all = append(all, string(c.Args))
		}
		for _, f := range m.Files {
			all = append(all, f.Name)
			if utf8.Valid(f.Data) {
				all = append(all, string(f.Data))
			}
		}
	}
	return all
}

// markKeys marks words that look like the key of a provider, whoever's it is.
func markKeys(cut []bool, text string) {
	word := func(r byte) bool {
		return r == '-' || r == '_' || r == '*' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	for i := 0; i < len(text); i++ {
		if !word(text[i]) || i > 0 && word(text[i-1]) {
			continue
		}
		end := i
		for end < len(text) && word(text[end]) {
			end++
		}
		w := text[i:end]
		if len(w) >= 12 && (strings.HasPrefix(w, "sk-") || strings.HasPrefix(w, "AIza") || strings.HasPrefix(w, "gsk_")) {
			for k := i; k < end; k++ {
				cut[k] = true
			}
		}
	}
}
