package ai

import (
	"context"
	"errors"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// An answer that pauses is sent back as it is and goes on, at most three times; each part is paid once.
func TestPausedAnswer(t *testing.T) {
	part := func(text string, stop Stop) line {
		return func(context.Context, *model.Request, func(Delta)) (*Response, error) {
			return &Response{Message: Message{Text: text, Raw: []byte(`[{"t":"` + text + `"}]`), From: "w"}, Stop: stop, Usage: Usage{Output: 1}}, nil
		}
	}
	for kill := 1; ; kill++ {
		s, ctx := scriptedClient(t, part("a", StopPause), part("b", StopPause), part("c", StopEnd))
		j := step()
		j.Kill = kill
		var r *Response
		body := func(ctx context.Context) (err error) {
			r, err = Generate(ctx, "smart", []Message{{Role: User, Text: "x"}})
			return err
		}
		err := j.Run(ctx, body)
		killed := errors.Is(err, ErrKilled)
		if killed {
			err = j.Run(ctx, body)
		}
		if killed && len(s.requests) == 4 { // one was cut off; the script has no more lines
			continue
		}
		if err != nil || r.Message.Text != "abc" || string(r.Message.Raw) != `[{"t":"a"},{"t":"b"},{"t":"c"}]` || r.Usage.Output != 3 || r.Cost.Unpriced != 3 {
			t.Fatalf("killed after record %d: %+v, %v", kill, r, err)
		}
		if n := len(s.requests); n != 3 || len(s.requests[2].Messages) != 3 || s.requests[2].Messages[2].Text != "b" {
			t.Errorf("killed after record %d: %d requests, the last with %+v", kill, n, s.requests[n-1].Messages)
		}
		if !killed {
			break
		}
	}
	p := part("a", StopPause)
	s, ctx := scriptedClient(t, p, p, p, p)
	r, err := Generate(ctx, "smart", []Message{{Role: User, Text: "x"}})
	if err != nil || r.Stop != StopPause || r.Message.Text != "aaaa" || len(s.requests) != 4 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Sums over many runs, by anything.
func TestEachCall(t *testing.T) {
	p := &counted{answer: echoes}
	w := define(func(ctx context.Context, d *doc) error {
		for range d.N {
			if _, err := GenerateText(ctx, "smart", "x"); err != nil {
				return err
			}
		}
		return nil
	})
	synctestStores(t, config(w), p, func(t *testing.T, e *durabletest.Engine) {
		for n, tag := range []string{"a", "b", "a", "b"} {
			durabletest.Start(e, w, doc{N: n}, durable.Tags(tag)).Done()
		}
		var list []CallInfo
		for c, err := range EachCall(t.Context(), e.Engine, durable.Filter{Workflow: "w"}) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, c)
		}
		by := SumBy(list, func(c *CallInfo) string { return c.Tags[0] })
		if by["a"].Answers != 2 || by["b"].Answers != 4 || by["b"].Usage.Output != 20 || by["b"].Cost.Unpriced != 4 || len(by) != 2 {
			t.Errorf("%+v", by)
		}
	})
}
