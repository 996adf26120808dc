package wire

import "github.com/durable-go/durable/ai/model"

// received is how much of an answer has come that the provider has not counted yet.
type received struct {
	quarters int64 // of a token
	told     int64 // tokens out, as the provider has told so far
}

// counts is on, for what watches an answer, which may be nil, and counts what comes.
func (r *received) counts(on func(model.Delta)) func(model.Delta) {
	return func(d model.Delta) {
		r.quarters += int64(model.Quarters(d.Text) + model.Quarters(d.Thinking) + len(d.Tool) + model.Quarters(d.Args))
		if d.Usage != nil && d.Usage.Output > r.told { // some servers tell zeros until the end
			r.quarters, r.told = 0, d.Usage.Output
		}
		if on != nil {
			on(d)
		}
	}
}

// used is what a try has used that gives no answer: what the provider has told, and what has come since, as a guess. The zero
// usage means that nobody knows, for nothing came.
func (t *try) used() model.Usage {
	u := t.ask.Answer.Usage()
	if n := (t.came.quarters + 3) / 4; n > 0 {
		u.Output, u.Estimated = max(u.Output, u.Output+n), true
	}
	if u.Output > 0 && u.Input+u.CacheRead+u.CacheWrite == 0 {
		u.Input, u.Estimated = Estimate(t.ask.Request), true
	}
	return u
}

// unpaid says whether nothing can be due for a try that used so much: the request did not leave, or it was refused, by its status
// or by an error that came before anything else.
func (t *try) unpaid(p *Problem, used model.Usage) bool {
	switch {
	case t.status == 0:
		return !t.left.Load()
	case t.status > 299:
		return used == (model.Usage{})
	}
	return p.said && used == (model.Usage{})
}
