package aitest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/model"
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
		if d, changed := diff(lines(k), lines(want)); least < 0 || changed < least {
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

// diff is what to take out of a (-) and to put in (+) to get b, with a line of context around it, and how
// many lines that are.
func diff(a, b []string) (out []string, changes int) {
	// common[i][j] is the length of the longest common part of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = 1 + common[i+1][j+1]
			}
		}
	}
	var all []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			all, i, j = append(all, "  "+a[i]), i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			all, i = append(all, "- "+a[i]), i+1
		default:
			all, j = append(all, "+ "+b[j]), j+1
		}
	}
	changed := func(k int) bool { return k >= 0 && k < len(all) && all[k][0] != ' ' }
	for k, l := range all {
		if changed(k) {
			changes++
		}
		if changed(k) || changed(k-1) || changed(k+1) {
			out = append(out, l)
		}
	}
	return out, changes
}
