package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/durable-go/durable/ai"
)

// readers stand in for two language models, so that this example needs no key: "quick" is overloaded now and then, and
// takes no long documents; "careful" takes all. They find lines about bees, and that is all they can do.
type readers struct {
	mu    sync.Mutex
	asked map[string]int // by model
}

// Open is that of a provider.
func (r *readers) Open(name string) (ai.Model, error) { return reader{r, name}, nil }

func (r *readers) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == nil {
		r.asked = make(map[string]int)
	}
	r.asked[name]++
	return r.asked[name]
}

type reader struct {
	all  *readers
	name string
}

// Generate answers from the request alone.
func (m reader) Generate(_ context.Context, r *ai.Request, _ func(ai.Delta)) (*ai.Response, error) {
	switch n := m.all.count(m.name); {
	case m.name == "quick" && len(r.Messages[0].Text) > 400:
		return nil, &ai.Error{Kind: ai.TooLong, Status: 400, Err: errors.New("more than it can read")}
	case m.name == "quick" && n%5 == 0:
		return nil, &ai.Error{Kind: ai.Transient, Status: 529, Code: "overloaded_error", Err: errors.New("too much to do")}
	}
	if len(r.Schema) > 0 {
		f := Finding{Says: bees(r.Messages[0].Text)}
		f.Relevant = f.Says != ""
		raw, err := json.Marshal(f)
		return answer(ai.Message{Text: string(raw)}, ai.StopEnd), err
	}
	return m.write(r)
}

// write opens the first document of the notes, then answers.
func (m reader) write(r *ai.Request) (*ai.Response, error) {
	var report Report
	for line := range strings.Lines(r.Messages[0].Text) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "- "), ":"); ok && strings.HasPrefix(line, "- ") {
			report.Sources = append(report.Sources, name)
		}
	}
	last := r.Messages[len(r.Messages)-1]
	if last.CallID == "" && len(report.Sources) > 0 {
		return use("open", Lookup{report.Sources[0]})
	}
	report.Answer = "Nobody says so."
	if says := bees(last.Text); says != "" {
		report.Answer = says
	}
	return use("answer", report)
}

func bees(text string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "The bees") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func use(tool string, args any) (*ai.Response, error) {
	raw, err := json.Marshal(args)
	return answer(ai.Message{Calls: []ai.ToolCall{{ID: "call-" + tool, Name: tool, Args: raw}}}, ai.StopTools), err
}

func answer(m ai.Message, stop ai.Stop) *ai.Response {
	m.Role = ai.Assistant
	return &ai.Response{Message: m, Stop: stop, Usage: ai.Usage{Input: 200, Output: 40, Estimated: true}}
}
