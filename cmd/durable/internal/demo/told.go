package demo

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/cmd/durable/internal/term"
)

// tell says what is new in plain lines, where there is no terminal for a board.
func tell(s *term.Screen, f *follower, now time.Time) error {
	for _, p := range f.places {
		if p.x == nil {
			continue
		}
		attempts := p.x.Steps
		for ; p.told < len(attempts); p.told++ {
			a := attempts[p.told]
			if a.Kind != "step" || a.Status == "running" || a.Status == "waiting" {
				if a.Kind == "step" {
					break // say it when it has ended
				}
				continue
			}
			if a.Status == "done" {
				continue
			}
			why := ""
			if a.Error != nil {
				why = ": " + brief(a.Error.Message)
			}
			if err := say(s, a.Status, p.Name, fmt.Sprintf("%s, attempt %d%s", path.Base(a.Path), a.Attempt, why)); err != nil {
				return err
			}
		}
		if err := p.tellCalls(s); err != nil {
			return err
		}
		if err := p.tellEnd(s, now); err != nil {
			return err
		}
	}
	return nil
}

// skip passes over what was over when this demo began: an earlier one has told it.
func (p *place) skip(x *durable.Execution) {
	for _, a := range x.Steps {
		if a.Status == "running" || a.Status == "waiting" {
			break
		}
		p.told++
	}
	if p.toldCall = len(p.calls); p.toldCall > 0 {
		if last := p.calls[p.toldCall-1]; last.PossiblyPaid && last.Kind == "" { // it is on its way
			p.toldCall--
		}
	}
	p.toldEnd = x.Status.Ended()
}

// tellEnd says once that a run has ended, or waits.
func (p *place) tellEnd(s *term.Screen, now time.Time) error {
	what := p.standing()
	switch {
	case what == waiting && p.asked != p.question.ID:
		p.asked = p.question.ID
		return say(s, string(what), p.Name, p.question.Prompt)
	case p.ended && !p.toldEnd:
		p.toldEnd = true
		text := fmt.Sprintf("%s, %d steps, %s", p.result.Type, len(p.done()), term.Took(p.took(now)))
		if what != completed && p.x.Error != nil {
			text = p.x.Error.Error()
		}
		return say(s, string(what), p.Name, text)
	}
	return nil
}

func say(s *term.Screen, what, name, text string) error {
	_, err := fmt.Fprintln(s, strings.TrimRight(fmt.Sprintf("%-9s %s  %s", what, term.Pad(term.Line(name), 30), term.Line(text)), " "))
	return err
}
