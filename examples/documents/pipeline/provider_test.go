package pipeline_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable/ai"
	rules "github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// moody is the offline model as it would be behind a network: it takes its time, and refuses one question of
// three twice, once for the rate and once because it is overloaded. It counts the questions that it answers.
type moody struct {
	ai.Model
	calm bool
	edit func(r *ai.Request, answer *ai.Response)

	mu      sync.Mutex
	asked   map[string]int // by question
	refused map[ai.Kind]int
}

func newMoody() *moody {
	return &moody{Model: rules.New(), asked: make(map[string]int), refused: make(map[ai.Kind]int)}
}

// in is a context in which this is the model.
func (m *moody) in(t testing.TB) context.Context {
	t.Helper()
	c, err := ai.New(ai.Config{
		Aliases:   map[string]string{pipeline.Smart: "moody:" + rules.Documents},
		Providers: map[string]ai.Provider{"moody": m},
		Getenv:    func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return ai.WithClient(t.Context(), c)
}

func (m *moody) Open(string) (ai.Model, error) { return m, nil }

func (m *moody) Generate(ctx context.Context, r *ai.Request, on func(ai.Delta)) (*ai.Response, error) {
	question := fmt.Sprintf("%s %d %s", r.Name, len(r.Messages), r.Messages[0].Text)
	h := fnv.New32a()
	fmt.Fprint(h, question)
	if !m.calm {
		t := time.NewTimer(100*time.Millisecond + time.Duration(h.Sum32()%900)*time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.asked[question]
	m.asked[question]++
	if bad := h.Sum32()%3 == 0 && !m.calm; bad && n < 2 {
		e := &ai.Error{Kind: ai.RateLimited, Status: 429, RetryAfter: time.Second}
		if n == 1 {
			e = &ai.Error{Kind: ai.Transient, Status: 529}
		}
		m.refused[e.Kind]++
		return nil, e
	}
	answer, err := m.Model.Generate(ctx, r, on)
	if err == nil && m.edit != nil {
		m.edit(r, answer)
	}
	return answer, err
}

func (m *moody) total() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, times := range m.asked {
		n += times
	}
	return n
}
