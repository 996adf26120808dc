package aitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/internal/diff"
)

// find plays the next recorded call that equals a request.
func (c *cassette) find(provider string, asked request, after []digest, r *model.Request) plan {
	var end digest
	if len(after) > 0 {
		end = after[len(after)-1]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	equal := c.calls[asked.digest(provider, end)]
	for _, i := range equal {
		if !c.used[i] {
			c.used[i] = true
			return c.tape.Calls[i].plan(r)
		}
	}
	c.missed = true
	text := fmt.Sprintf("was recorded %d times, and asked once more", len(equal))
	if len(equal) == 0 {
		text = "was not recorded; the nearest recorded request (-) differs from it (+):\n" + c.nearest(provider, asked)
	}
	if len(c.tape.Calls) == 0 {
		text = "was not recorded; nothing was"
	}
	c.t.Errorf("aitest: %s: a request %s\n%s", c.path, text, c.anew())
	return plan{request: r, err: &model.Error{Kind: model.Invalid, Provider: "aitest", Model: r.Model, Err: errors.New("the request is not on the cassette")}}
}

// anew says how to make the cassette anew.
func (c *cassette) anew() string {
	if c.tape.Exported {
		return "It was exported: export a run anew."
	}
	return "Record it anew with AI_RECORD=1."
}

func (t taken) plan(r *model.Request) plan {
	switch {
	case t.Unanswered:
		return plan{request: r, endless: true}
	case t.Response != nil:
		a := t.Response
		return plan{request: r, answer: &model.Response{
			Message: a.Message.message(), Stop: a.Stop, Served: a.Served, RequestID: a.RequestID, Confidence: a.Confidence, Usage: a.Usage,
		}}
	}
	e := t.Error
	out := &model.Error{Kind: e.Kind, Provider: e.Provider, Model: e.Model, Code: e.Code, Status: e.Status, RequestID: e.RequestID, Usage: e.Usage, Unpaid: e.Unpaid}
	if e.Text != "" {
		out.Err = errors.New(e.Text)
	}
	if e.RetryAfter != "" {
		var err error
		if out.RetryAfter, err = time.ParseDuration(e.RetryAfter); err != nil {
			out.Err = fmt.Errorf("the cassette has a retry_after that is no duration: %w", err)
		}
	}
	return plan{request: r, err: out}
}

const (
	maxDiff = 1_000 // lines that are compared
	maxNear = 50    // recorded calls that are looked at
	maxLine = 400   // bytes of a line that are shown
)

// nearest is the diff to the recorded request from which least lines differ, of those that are about as long.
func (c *cassette) nearest(provider string, asked request) string {
	length := make([]int, len(c.tape.Calls)) // of the conversation
	for i := range c.tape.Calls {
		if length[i] = len(c.tape.Calls[i].Request.Messages); c.tape.Calls[i].Request.Continues > 0 {
			length[i] += length[c.tape.Calls[i].Request.Continues-1]
		}
	}
	near := make([]int, len(length))
	for i := range near {
		near[i] = i
	}
	far := func(i int) int { return max(length[i]-len(asked.Messages), len(asked.Messages)-length[i]) }
	slices.SortStableFunc(near, func(i, k int) int { return far(i) - far(k) })
	want := lines(provider, asked)
	var best []string
	least := -1
	for _, i := range near[:min(len(near), maxNear)] {
		r := c.tape.Calls[i].Request
		r.Messages, r.Continues = c.tape.messages(i), 0
		if d, changed := difference(lines(c.tape.Calls[i].Provider, r), want); least < 0 || changed < least {
			best, least = d, changed
		}
	}
	return strings.Join(best, "\n")
}

// lines are a request for people.
func lines(provider string, r request) []string {
	b := canonical(struct {
		Provider string `json:"provider"`
		request
	}{provider, r})
	var out bytes.Buffer
	_ = json.Indent(&out, b, "", "  ")
	return strings.Split(out.String(), "\n")
}

// difference is the diff of what is left without the lines that both begin and end with.
func difference(a, b []string) ([]string, int) {
	for len(a) > 1 && len(b) > 1 && a[0] == b[0] && a[1] == b[1] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 1 && len(b) > 1 && a[len(a)-1] == b[len(b)-1] && a[len(a)-2] == b[len(b)-2] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	d, changes := diff.Lines(a[:min(len(a), maxDiff)], b[:min(len(b), maxDiff)])
	for i, l := range d {
		if len(l) > maxLine {
			d[i] = strings.ToValidUTF8(l[:maxLine], "") + " …"
		}
	}
	for i := 1; i < len(d); i++ { // two long lines that are cut to the same
		if d[i-1][0] == '-' && d[i][0] == '+' && d[i-1][1:] == d[i][1:] {
			d[i] += " (they differ further on)"
		}
	}
	return d, changes
}
