package aitest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/internal/diff"
)

// find plays the next recorded call that equals a request.
func (c *cassette) find(provider string, asked request, r *model.Request) plan {
	want := key(provider, asked)
	c.mu.Lock()
	defer c.mu.Unlock()
	equal := 0
	for i, k := range c.keys {
		if k != want {
			continue
		}
		if equal++; c.used[i] {
			continue
		}
		c.used[i] = true
		return c.tape.Calls[i].plan(r)
	}
	c.missed = true
	text := fmt.Sprintf("was recorded %d times, and asked once more", equal)
	if equal == 0 {
		text = "was not recorded; the nearest recorded request (-) differs from it (+):\n" + c.nearest(want)
	}
	if len(c.keys) == 0 {
		text = "was not recorded; nothing was"
	}
	c.t.Errorf("aitest: %s: a request %s\nRecord it anew with AI_RECORD=1.", c.path, text)
	return plan{request: r, err: &model.Error{Kind: model.Invalid, Provider: "aitest", Model: r.Model, Err: errors.New("the request is not on the cassette")}}
}

func (t taken) plan(r *model.Request) plan {
	if t.Response != nil {
		resp := *t.Response
		return plan{answer: &resp, request: r}
	}
	if t.Error == nil {
		return plan{request: r, err: &model.Error{Kind: model.Invalid, Provider: "aitest", Model: r.Model, Err: errors.New("the recorded call has neither an answer nor an error")}}
	}
	e := t.Error
	after, _ := time.ParseDuration(e.RetryAfter)
	return plan{request: r, err: &model.Error{
		Kind: e.Kind, Provider: t.Provider, Model: r.Model, Code: e.Code, Status: e.Status, RequestID: e.RequestID, RetryAfter: after, Usage: e.Usage, Unpaid: e.Unpaid, Err: errors.New(e.Text),
	}}
}

// maxDiff is how many lines are compared; a longer request is cut for the diff.
const maxDiff = 1_000

// nearest is the diff to the recorded request from which least lines differ.
func (c *cassette) nearest(want string) string {
	var best []string
	least := -1
	for _, k := range c.keys {
		if d, changed := diff.Lines(lines(k), lines(want)); least < 0 || changed < least {
			best, least = d, changed
		}
	}
	return strings.Join(best, "\n")
}

func lines(s string) []string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		if len(l) > 400 {
			l = strings.ToValidUTF8(l[:400], "") + " …"
		}
		if out = append(out, l); len(out) == maxDiff {
			break
		}
	}
	return out
}
