package ai

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// entry is something that a step has recorded.
type entry struct {
	Path     string
	Attempt  int    // which recorded it
	Name     string // without its count
	Scope    string
	Data     json.RawMessage
	Last     int  // the last attempt of that step so far
	Failures int  // attempts of it that have failed so far
	Again    bool // its attempt has waited after that, and so begun again
	Open     bool // its attempt is not done

	Inherited bool // another run did it, from which this one was forked
}

// recorded is a try as the records have it.
type recorded struct {
	entry
	mark    *mark
	outcome *outcome // nil: not yet, or nobody will know
}

// spending is what a try counts against a budget.
func (r *recorded) spending() spending {
	if r.mark.Not != nil {
		return spending{}
	}
	return r.mark.real(r.outcome)
}

// gather finds the tries among what steps have recorded, in the order in which they began.
func gather(list []entry) []*recorded {
	var out []*recorded
	open := make(map[string]*recorded)
	for _, e := range list {
		name, isMark := strings.CutSuffix(e.Name, "/try")
		key := e.Path + "\x00" + e.Scope + "\x00" + name
		if isMark {
			m := new(mark)
			if json.Unmarshal(e.Data, m) != nil || m.Try == 0 {
				continue // somebody else's
			}
			e.Name = name
			r := &recorded{entry: e, mark: m}
			out = append(out, r)
			if m.Not == nil {
				open[key] = r
			}
			continue
		}
		if r := open[key]; r != nil {
			o := new(outcome)
			if json.Unmarshal(e.Data, o) == nil {
				r.outcome = o
			}
			delete(open, key)
		}
	}
	return out
}

// CallInfo is one request to a model, as it is recorded. Texts of prompts and answers are not in it.
type CallInfo struct {
	Execution string   `json:"execution"`
	Workflow  string   `json:"workflow"`
	Tags      []string `json:"tags,omitempty"` // of the run

	Path    string `json:"path"`    // of the step
	Attempt int    `json:"attempt"` // of the step, which sent it
	Name    string `json:"name"`    // ai: and a hash, or a place in an agent
	Try     int    `json:"try"`     // from 1, of the call

	Asked  string `json:"asked"`            // the model, as the code says it
	Served string `json:"served,omitempty"` // the model, as it answered, or to which it was sent
	Prompt string `json:"prompt,omitempty"` // name and hash of the prompt that was rendered

	Began time.Time     `json:"began"`
	Took  time.Duration `json:"took,omitempty"`
	First time.Duration `json:"first,omitempty"` // until the first piece came

	Answered  bool   `json:"answered,omitempty"`
	Stop      Stop   `json:"stop,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	Kind      Kind   `json:"kind,omitempty"`   // of the error
	Error     string `json:"error,omitempty"`  // its text
	Status    int    `json:"status,omitempty"` // of HTTP, with the error; 0: no answer came; 200: the answer broke off
	// RetryAfter is for how long the provider wants to be left alone, if it said so.
	RetryAfter time.Duration `json:"retry_after,omitempty"`

	Usage Usage `json:"usage"`
	Cost  *Cost `json:"cost"` // nil: nothing was paid, as far as one knows

	Unsent       bool `json:"unsent,omitempty"`        // held back by a rate, a budget or the configuration
	PossiblyPaid bool `json:"possibly_paid,omitempty"` // nobody knows what it used: Usage and Cost are what was estimated before
	Superseded   bool `json:"superseded,omitempty"`    // the step failed after this answer, and has asked afresh
	Replayed     bool `json:"replayed,omitempty"`      // the step began again, and has used the recorded answer
	Fallback     bool `json:"fallback,omitempty"`      // sent to another model than the first
	Inherited    bool `json:"inherited,omitempty"`     // by the run from which this one was forked: it counts there
}

// Sum is what several requests came to.
type Sum struct {
	Requests     int   `json:"requests"` // that were sent
	Answers      int   `json:"answers"`
	Usage        Usage `json:"usage"`
	Cost         Cost  `json:"cost"`
	PossiblyPaid int   `json:"possibly_paid"` // requests; they are in Usage and Cost as they were estimated
	Superseded   int   `json:"superseded"`    // answers; they were paid, too
	Replayed     int   `json:"replayed"`      // answers that were used again, and cost nothing then
}

// Add counts one more request, unless it was not sent, or by another run.
func (s *Sum) Add(c *CallInfo) {
	if c.Unsent || c.Inherited {
		return
	}
	s.Requests++
	s.Usage = s.Usage.Add(c.Usage)
	if c.Cost != nil {
		s.Cost = s.Cost.Add(*c.Cost)
	}
	for _, x := range []struct {
		is bool
		n  *int
	}{{c.Answered, &s.Answers}, {c.PossiblyPaid, &s.PossiblyPaid}, {c.Superseded, &s.Superseded}, {c.Replayed, &s.Replayed}} {
		if x.is {
			*x.n++
		}
	}
}

// SumBy adds requests up by anything: the step, the call, the model, the prompt.
func SumBy[K comparable](calls []CallInfo, key func(*CallInfo) K) map[K]Sum {
	out := make(map[K]Sum)
	for i := range calls {
		k := key(&calls[i])
		s := out[k]
		s.Add(&calls[i])
		out[k] = s
	}
	return out
}

// infos is what can be said of recorded tries.
func infos(list []entry) []CallInfo {
	tries := gather(list)
	out := make([]CallInfo, 0, len(tries))
	for _, r := range tries {
		out = append(out, r.info())
	}
	slices.SortStableFunc(out, func(a, b CallInfo) int { return a.Began.Compare(b.Began) })
	return out
}

func (r *recorded) info() CallInfo {
	m, o := r.mark, r.outcome
	c := CallInfo{
		Path: r.Path, Attempt: r.Attempt, Name: r.Name, Try: m.Try, Asked: m.Asked, Served: m.Model, Prompt: m.Prompt,
		Began: time.UnixMicro(m.At).UTC(), Fallback: m.Choice > 0, Inherited: r.Inherited,
	}
	if m.Not != nil {
		c.Unsent = true
		switch {
		case m.Not.Error != nil:
			c.fails(m.Not.Error)
		case m.Not.Budget != nil:
			c.Kind, c.Error = OverBudget, m.Not.Budget.Error()
		default:
			c.Kind, c.Error = RateLimited, "held back for "+time.Duration(m.Not.Wait).String()
		}
		return c
	}
	if o.unknown() {
		c.PossiblyPaid, c.Usage, c.Cost = true, *m.guess(), new(costOf(m.Reserved))
	}
	if o == nil || o.Interrupted || o.Gone != "" {
		return c
	}
	c.Took, c.First = time.Duration(o.At-m.At)*time.Microsecond, time.Duration(o.First)*time.Microsecond
	if o.Usage != nil {
		c.Usage, c.Cost = *o.Usage, new(costOf(o.Cost))
	}
	if o.Error != nil {
		c.fails(o.Error)
		return c
	}
	c.Answered, c.Stop, c.RequestID, c.Served = true, o.Stop, o.RequestID, served(m, o)
	plain := strings.HasPrefix(r.Name, "ai:") && strings.HasSuffix(r.Name, fmt.Sprintf("~%d", m.Failures))
	c.Superseded = plain && m.Failures < r.Failures && r.Last > r.Attempt
	c.Replayed = !c.Superseded && (r.Last > r.Attempt || r.Again)
	return c
}

func (c *CallInfo) fails(f *failing) {
	c.Kind, c.Error, c.RequestID, c.Status, c.RetryAfter = f.Kind, f.err(nil).Error(), f.RequestID, f.Status, time.Duration(f.RetryAfter)
}
