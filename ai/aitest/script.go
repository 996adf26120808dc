package aitest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/durable-go/durable/ai/model"
)

// TB is the part of testing.TB that is used here.
type TB interface {
	// Helper marks a function whose lines are not shown.
	Helper()
	// Errorf fails the test.
	Errorf(format string, args ...any)
	// Fatalf fails and ends it.
	Fatalf(format string, args ...any)
	// Cleanup is called when it ends.
	Cleanup(func())
}

// Scripted is a model that does what a script says, one step for each request.
type Scripted struct {
	t TB

	mu       sync.Mutex
	steps    []Step
	requests []*model.Request
}

// Script returns a model that plays the steps in order, whatever is asked. A request beyond
// the last step fails the test, and so do steps that nobody asked for when it ends. It is a
// model.Model by itself, and a Provider of itself under every name; NewServer lets it speak the wires.
func Script(t TB, steps ...Step) *Scripted {
	t.Helper()
	for i, s := range steps {
		if s.bad != nil {
			t.Fatalf("aitest: step %d, %s: %v", i+1, s.name, s.bad)
		}
	}
	m := &Scripted{t: t, steps: slices.Clone(steps)}
	t.Cleanup(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if rest := m.steps; len(rest) > 0 {
			names := make([]string, len(rest))
			for i, s := range rest {
				names[i] = s.name
			}
			t.Errorf("aitest: after %d requests %d steps of the script are left: %s", len(m.requests), len(rest), strings.Join(names, ", "))
		}
	})
	return m
}

// Open implements model.Provider.
func (m *Scripted) Open(string) (model.Model, error) { return m, nil }

// Generate implements model.Model.
func (m *Scripted) Generate(ctx context.Context, r *model.Request, on func(model.Delta)) (*model.Response, error) {
	return m.plan(ctx, r).play(ctx, on)
}

func (m *Scripted) plan(_ context.Context, r *model.Request) plan {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, r)
	if len(m.steps) == 0 {
		m.t.Errorf("aitest: request %d has no step in the script: %s", len(m.requests), brief(r))
		return plan{request: r, err: &model.Error{Kind: model.Invalid, Provider: "aitest", Model: r.Model, Err: errors.New("the script has ended")}}
	}
	p := m.steps[0].p
	m.steps = m.steps[1:]
	p.request = r
	if p.answer != nil {
		a := *p.answer
		a.Message.Calls = slices.Clone(a.Message.Calls)
		if a.Served == "" {
			a.Served = r.Model
		}
		if u := a.Usage; u == (model.Usage{Output: u.Output}) {
			a.Usage.Input, a.Usage.Estimated = estimate(r), true
		}
		p.answer = &a
	}
	return p
}

// Calls is how many requests there were.
func (m *Scripted) Calls() int { return len(m.Requests()) }

// Requests are the requests so far, in order. They are not copied: do not change them.
func (m *Scripted) Requests() []*model.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

// estimate is a token for four bytes.
func estimate(r *model.Request) int64 {
	n := model.Quarters(r.System) + len(r.Schema)
	for _, m := range r.Messages {
		n += model.Quarters(m.Text)
		for _, f := range m.Files {
			n += len(f.Data)
		}
		for _, c := range m.Calls {
			n += len(c.Name) + model.Quarters(string(c.Args))
		}
	}
	for _, t := range r.Tools {
		n += len(t.Name) + len(t.Description) + len(t.Schema)
	}
	return int64(n+3) / 4
}

// brief is a request for a message of a test.
func brief(r *model.Request) string {
	last := ""
	if n := len(r.Messages); n > 0 {
		last = r.Messages[n-1].Text
	}
	if len(last) > 80 {
		last = strings.ToValidUTF8(last[:80], "") + " …"
	}
	return fmt.Sprintf("%s, %d messages, the last of them %q", r.Model, len(r.Messages), last)
}
