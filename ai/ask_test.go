package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/durable-go/durable/ai/model"
)

// line is one thing that a scripted model does.
type line func(ctx context.Context, r *model.Request, on func(Delta)) (*Response, error)

// script is a provider whose models answer line after line, and the last one again and again.
type script struct {
	lines    []line
	requests []model.Request
	models   []string
}

func (s *script) Open(name string) (Model, error) { return scripted{s, name}, nil }

type scripted struct {
	s    *script
	name string
}

func (m scripted) Generate(ctx context.Context, r *model.Request, on func(Delta)) (*Response, error) {
	n := len(m.s.requests)
	m.s.requests, m.s.models = append(m.s.requests, *r), append(m.s.models, m.name)
	if n >= len(m.s.lines) {
		return nil, &Error{Kind: Invalid, Err: fmt.Errorf("request %d was not in the script", n+1)}
	}
	return m.s.lines[n](ctx, r, on)
}

func says(text string) line {
	return func(context.Context, *model.Request, func(Delta)) (*Response, error) {
		return &Response{
			Message: Message{Role: Assistant, Text: text}, Stop: StopEnd, Usage: Usage{Input: 10, Output: 5},
		}, nil
	}
}

func fails(e Error) line {
	return func(context.Context, *model.Request, func(Delta)) (*Response, error) { c := e; return nil, &c }
}

func scriptedClient(t *testing.T, lines ...line) (*script, context.Context) {
	t.Helper()
	s := &script{lines: lines}
	c, err := New(Config{
		Providers: map[string]Provider{"fake": s}, Aliases: map[string]string{"smart": "fake:one"},
		Getenv: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, WithClient(t.Context(), c)
}

func step() *Memory {
	return &Memory{Step: StepInfo{Execution: "e", Workflow: "w", Path: "s", Attempt: 1, CanWait: true}}
}

// Killed after each record in turn, a call ends with the same text.
func TestAI1_KilledAfterEveryRecord(t *testing.T) {
	for kill := 1; ; kill++ {
		s, ctx := scriptedClient(t, says("a"), says("a"))
		j := step()
		j.Kill = kill
		var got string
		body := func(ctx context.Context) (err error) {
			got, err = GenerateText(ctx, "smart", "say a")
			return err
		}
		err := j.Run(ctx, body)
		killed := errors.Is(err, ErrKilled)
		if killed {
			err = j.Run(ctx, body)
		}
		if err != nil || got != "a" {
			t.Fatalf("killed after record %d: %q, %v", kill, got, err)
		}
		if want := 1; len(s.requests) != want {
			t.Errorf("killed after record %d: %d requests, want %d: %q", kill, len(s.requests), want, j.Order)
		}
		if !killed {
			break
		}
	}
}

// The fifth try in a row that is cut off is the last.
func TestAI2_CrashLimit(t *testing.T) {
	cut := func(context.Context, *model.Request, func(Delta)) (*Response, error) { panic("die") }
	s, ctx := scriptedClient(t, cut, cut, cut, cut, cut, cut)
	j := step()
	var err error
	for range 6 {
		func() {
			defer func() { _ = recover() }()
			err = j.Run(ctx, func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "x"); return err })
		}()
	}
	var e *Error
	if !errors.As(err, &e) || e.Code != "crash_limit" || len(s.requests) != 5 {
		t.Errorf("%v after %d requests", err, len(s.requests))
	}
}

func TestOverloadThenFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := fails(Error{Kind: Transient, Status: 529})
		s, ctx := scriptedClient(t, busy, busy, busy, busy, says("b"))
		j := step()
		var r Response
		err := j.Run(ctx, func(ctx context.Context) error {
			_, err := GenerateText(ctx, "smart", "x", Fallback("fake:two"), Result(&r))
			return err
		})
		if err != nil || r.Served != "fake:two" || r.Asked != "smart" || strings.Join(s.models, " ") != "one one one one two" {
			t.Errorf("%v, served by %q after %q", err, r.Served, s.models)
		}
	})
}

func TestHold(t *testing.T) {
	for answer, good := range map[string]bool{`"try again"`: true, `"fail"`: false} {
		s, ctx := scriptedClient(t, fails(Error{Kind: Quota, Status: 429, Code: "insufficient_quota"}), says("b"))
		j := step()
		body := func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "x"); return err }
		if err := j.Run(ctx, body); !errors.Is(err, ErrWaiting) || len(s.requests) != 1 {
			t.Fatalf("%v", err)
		}
		j.Answers = []json.RawMessage{json.RawMessage(answer)}
		if err := j.Run(ctx, body); (err == nil) != good || !good && !IsKind(err, Quota) {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
