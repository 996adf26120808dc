package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// holdName is the question that package ai asks when nothing but a person helps: a key that is refused, a budget that
// is used up.
const holdName = "ai.hold"

// troubles are the calls that failed and were, or will be, made again.
func (p *place) troubles() (list []*ai.CallInfo) {
	for i := range p.calls {
		if c := &p.calls[i]; c.Kind != "" && !c.Unsent {
			list = append(list, c)
		}
	}
	return list
}

// trouble is what the newest call waits for, if it waits.
func (p *place) trouble() *ai.CallInfo {
	if len(p.calls) == 0 {
		return nil
	}
	c := &p.calls[len(p.calls)-1]
	if c.Kind == "" {
		return nil
	}
	return c
}

// plainly says of a call what went wrong, and what is done about it.
func plainly(c *ai.CallInfo) (what, then string) {
	switch {
	case c.Unsent && c.Kind == ai.OverBudget:
		return "the budget is used up", "waits for a person"
	case c.Unsent:
		return "the model is to be left alone", "waits with it, without a slot"
	case c.Kind == ai.RateLimited && c.RetryAfter > 0:
		return fmt.Sprintf("%d, asked too often", c.Status), "waits " + term.Took(c.RetryAfter) + " as told, without a slot"
	case c.Kind == ai.RateLimited:
		return fmt.Sprintf("%d, asked too often", c.Status), "waits, without a slot"
	case c.Kind == ai.Quota:
		return "a quota is used up", "waits for a person"
	case c.Kind == ai.Auth:
		return fmt.Sprintf("%d, the key is not accepted", c.Status), "waits for a person"
	case c.Kind != ai.Transient:
		return strings.ReplaceAll(string(c.Kind), "_", " "), "not asked again"
	case c.Status >= 500:
		words := map[int]string{500: "an error on its side", 503: "overloaded", 529: "overloaded"}
		word := words[c.Status]
		if word == "" {
			word = "an error on its side"
		}
		return fmt.Sprintf("%d, %s", c.Status, word), "asked again"
	case strings.Contains(c.Error, "overloaded"):
		return "overloaded in the middle of the answer", "asked again"
	case c.Status == 200:
		return "the answer was cut off", "asked again"
	case c.Status == 0:
		return "no answer came", "asked again"
	}
	return fmt.Sprintf("status %d", c.Status), "asked again"
}

// tellCalls says what went wrong with calls, where there is no board.
func (p *place) tellCalls(s *term.Screen) error {
	for ; p.toldCall < len(p.calls); p.toldCall++ {
		c := &p.calls[p.toldCall]
		if c.PossiblyPaid && c.Kind == "" && p.toldCall == len(p.calls)-1 && !p.ended {
			return nil // it is on its way
		}
		what, then := "cut off when the process ended, possibly paid", "asked again"
		switch {
		case c.Unsent && c.Kind == ai.RateLimited:
			continue // one of many that wait together
		case c.Kind != "":
			what, then = plainly(c)
		case !c.PossiblyPaid:
			continue
		}
		if err := say(s, "model", p.Name, fmt.Sprintf("%s: %s: %s", path.Base(c.Path), what, then)); err != nil {
			return err
		}
	}
	return nil
}

// spent adds up the calls of all runs.
func (f *follower) spent() (sum ai.Sum, why map[string]int) {
	why = make(map[string]int)
	for _, p := range f.places {
		for i := range p.calls {
			sum.Add(&p.calls[i])
		}
		for _, c := range p.troubles() {
			what, _ := plainly(c)
			why[what]++
		}
	}
	return sum, why
}

// bill says what the calls came to.
func (f *follower) bill() []string {
	sum, why := f.spent()
	if sum.Requests == 0 {
		return nil
	}
	about := ""
	if sum.Usage.Estimated {
		about = "about "
	}
	lines := []string{fmt.Sprintf("%s to the model, %s, %s%s tokens. Cost: %s.",
		many(sum.Requests, "request"), many(sum.Answers, "answer"), about, term.Thousands(sum.Usage.Total()), price(sum.Cost))}
	if len(why) > 0 {
		lines = append(lines, "Asked again: "+counted(why)+".")
	}
	if sum.Replayed > 0 {
		lines = append(lines, fmt.Sprintf("%s taken from the journal when a step began again, and not paid again.", many(sum.Replayed, "answer")))
	}
	if sum.PossiblyPaid > 0 {
		lines = append(lines, fmt.Sprintf("%s cut off before the answer was there: possibly paid, and asked again.", many(sum.PossiblyPaid, "request")))
	}
	return lines
}

// price says what something cost. An unknown price is not zero.
func price(c ai.Cost) string {
	if c.Known == 0 && c.Unpriced > 0 {
		return "unknown, this model has no price"
	}
	return c.String()
}

// holdAnswer is an answer to a hold: "try again" or "fail". A hold for a budget takes it in an object.
func holdAnswer(in durable.PendingInput, word string) any {
	var about struct{ Reason string }
	if _ = json.Unmarshal(in.Details, &about); about.Reason == "" {
		return map[string]string{"do": word}
	}
	return word
}

// hold asks what to do with a call that cannot be made; nil is "later".
func (r *reviewer) hold(ctx context.Context, in durable.PendingInput) (any, error) {
	for {
		line, err := r.ask(ctx, "[Enter] try again   [f]ail   [l]ater\n> ")
		if err != nil {
			return nil, err
		}
		switch strings.ToLower(line) {
		case "", "t", "try again":
			return holdAnswer(in, "try again"), nil
		case "f", "fail":
			return holdAnswer(in, "fail"), nil
		case "l", "later":
			return nil, nil
		}
		fmt.Fprintf(r.screen, "%q is none of these.\n", line)
	}
}

// release lets runs try again that an earlier demo has left on hold: the key, or what it may spend, is another one now.
func (r *run) release(ctx context.Context) error {
	if err := r.questions(ctx); err != nil {
		return err
	}
	for _, p := range r.places {
		if p.question != nil && p.question.Name == holdName {
			if err := r.reviewer.send(ctx, *p.question, holdAnswer(*p.question, "try again")); err != nil {
				return err
			}
		}
	}
	return nil
}
