package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// recorder keeps the body and the headers of what it is asked, and refuses.
type recorder struct {
	*httptest.Server
	mu     sync.Mutex
	body   []byte
	path   string
	header http.Header
}

func record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.body, r.path, r.header = b, req.URL.RequestURI(), req.Header
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `{"type":"error","error":{"type":"invalid_request_error","message":"recorded"}}`)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) last(t *testing.T) (body any, path string, header http.Header) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := json.Unmarshal(r.body, &body); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	r.body = nil
	return body, r.path, r.header
}

func key(name string) string {
	if strings.HasSuffix(name, "_KEY") {
		return "k"
	}
	return ""
}

// compare sends the same request by our adapter and by a client, to the same recorder. What differs must
// be exactly what is allowed: a path in the body, with the reason. A path that ends in "…" means all below.
func compare(t *testing.T, open func(base string) model.Provider, r *model.Request, theirs func(t *testing.T, base string), allowed map[string]string) {
	t.Helper()
	rec := record(t)
	m, err := open(rec.URL).Open("m-1")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = m.Generate(context.Background(), r, nil)
	ours, path, header := rec.last(t)
	theirs(t, rec.URL)
	other, otherPath, otherHeader := rec.last(t)
	if path != otherPath {
		t.Errorf("we ask at %s, they at %s", path, otherPath)
	}
	for _, h := range []string{"x-api-key", "anthropic-version", "Authorization", "x-goog-api-key", "Content-Type"} {
		if header.Get(h) != otherHeader.Get(h) {
			t.Errorf("header %s: ours %q, theirs %q", h, header.Get(h), otherHeader.Get(h))
		}
	}
	found := map[string]string{}
	diff("", ours, other, found)
	excused := map[string]bool{}
	for _, at := range slices.Sorted(maps.Keys(found)) {
		ok := false
		for path := range allowed {
			if prefix, all := strings.CutSuffix(path, "…"); at == path || all && strings.HasPrefix(at, prefix) {
				ok = true
				excused[path] = true
			}
		}
		if !ok {
			t.Errorf("%s: %s", at, found[at])
		}
	}
	for path, why := range allowed {
		if !excused[path] {
			t.Errorf("%s no longer differs (%s)", path, why)
		}
	}
}

func diff(at string, ours, theirs any, found map[string]string) {
	if a, ok := ours.(map[string]any); ok {
		if b, ok := theirs.(map[string]any); ok {
			for name := range a {
				if _, both := b[name]; both {
					diff(at+"."+name, a[name], b[name], found)
				} else {
					found[at+"."+name] = fmt.Sprintf("only ours has it: %v", a[name])
				}
			}
			for name := range b {
				if _, both := a[name]; !both {
					found[at+"."+name] = fmt.Sprintf("only theirs has it: %v", b[name])
				}
			}
			return
		}
	}
	if a, ok := ours.([]any); ok {
		if b, ok := theirs.([]any); ok && len(a) == len(b) {
			for i := range a {
				diff(fmt.Sprintf("%s[%d]", at, i), a[i], b[i], found)
			}
			return
		}
	}
	if !reflect.DeepEqual(ours, theirs) {
		found[at] = fmt.Sprintf("ours %v, theirs %v", ours, theirs)
	}
}

// The same questions for all wires.

func schemaOf(t *testing.T, s string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	answerSchema = `{"type":"object","properties":{"total":{"type":"number"},"kind":{"type":"string","enum":["a","b"]},"lines":{"type":"array","items":{"type":"string"}}},"required":["total","kind","lines"],"additionalProperties":false}`
	toolSchema   = `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}`
)

func user(s string) model.Message { return model.Message{Role: model.User, Text: s} }

func plain() *model.Request {
	return &model.Request{MaxTokens: 99, Messages: []model.Message{user("Hello <you> & me")}}
}

func options() *model.Request {
	return &model.Request{
		MaxTokens: 77, System: "Be brief.", Effort: "low", Temperature: new(0.5), Cache: time.Hour,
		Messages: []model.Message{user("Hello"), {Role: model.Assistant, Text: "Hi."}, user("Bye")},
	}
}

func object() *model.Request {
	return &model.Request{MaxTokens: 99, Messages: []model.Message{user("Extract")}, Schema: json.RawMessage(answerSchema), Name: "invoice"}
}

func tools() *model.Request {
	return &model.Request{
		MaxTokens: 99, ToolChoice: "get_weather", Tools: []model.ToolDef{{Name: "get_weather", Description: "Tells the weather.", Schema: json.RawMessage(toolSchema)}},
		Messages: []model.Message{
			user("Weather?"),
			{Role: model.Assistant, Text: "Let me look.", Calls: []model.ToolCall{{ID: "c1", Name: "get_weather", Args: json.RawMessage(`{"city":"Zürich"}`)}, {ID: "c2", Name: "get_weather", Args: json.RawMessage(`{"city":"Bern"}`)}}},
			{Role: model.Tool, CallID: "c1", Text: "sunny"},
			{Role: model.Tool, CallID: "c2", Text: "no such city", Failed: true},
		},
	}
}

func files() *model.Request {
	return &model.Request{MaxTokens: 99, Messages: []model.Message{{Role: model.User, Text: "Read", Files: []model.File{
		{Name: "a.pdf", MIME: "application/pdf", Data: []byte("%PDF")}, {Name: "b.png", MIME: "image/png", Data: []byte{0x89, 'P'}},
	}}}}
}

const (
	pdf64 = "JVBERg=="
	png64 = "iVA="
)
