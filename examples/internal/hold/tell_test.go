package hold

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/durabletest"
)

// away is a provider that cannot be reached until it is back.
type away struct{ back bool }

func (a *away) Open(string) (ai.Model, error) { return a, nil }

func (a *away) Generate(context.Context, *ai.Request, func(ai.Delta)) (*ai.Response, error) {
	if a.back {
		return &ai.Response{Message: ai.Message{Role: ai.Assistant, Text: "here"}, Stop: ai.StopEnd}, nil
	}
	return nil, &ai.Error{Kind: ai.Transient, Provider: "away", Err: errors.New("connection refused")}
}

// A provider that cannot be reached is no question to a person, and is told all the same; once it is back nothing is.
func TestAI19_ProviderAway(t *testing.T) {
	provider := new(away)
	client, err := ai.New(ai.Config{Providers: map[string]ai.Provider{"away": provider}, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	w := durable.Define("asks", durable.Step("ask", func(ctx context.Context, text *string) (err error) {
		*text, err = ai.GenerateText(ctx, "away:x", "where are you?")
		return err
	}))
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, "")
		e.Sleep(5 * time.Minute)
		now := time.Now().Add(time.Second)
		reasons := slices.Compact(unanswered(t.Context(), e.Engine, "asks", now))
		if len(reasons) != 1 || !strings.Contains(reasons[0], "connection refused") {
			t.Errorf("the reasons are %q", reasons)
		}
		if early := unanswered(t.Context(), e.Engine, "asks", now.Add(-time.Hour)); len(early) != 0 {
			t.Errorf("an hour ago: %q", early)
		}
		provider.back = true
		if got := r.Done(); got != "here" {
			t.Errorf("it says %q", got)
		}
		if reasons := unanswered(t.Context(), e.Engine, "asks", time.Now().Add(time.Hour)); len(reasons) != 0 {
			t.Errorf("it is answered, and the reasons are %q", reasons)
		}
	}, durabletest.Context(ai.WithClient(t.Context(), client)))
}
