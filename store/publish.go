package store

import (
	"fmt"
	"time"
)

// Publication is a message for whoever waits for its topic. Every execution that has
// an open wait which is Shared and has this topic gets it, once: it is put into the
// inbox whatever else is there, addressed to the oldest such wait of the execution
// (Opened, then ID), which is closed; a waiting execution becomes pending with Due
// now, and one that is compensating and that nobody owns is due now. If there is no such wait, it is kept until Keep has passed: the first Advance
// that opens one takes it, see Advance.Open. The oldest goes first. So however Publish
// and the opening of a wait meet, the message arrives, and arrives once.
//
// Publishing is idempotent by Dedupe. The number of statements does not grow with the
// executions that get it, nor the cost with waits for other topics. It may wait for
// other transactions that hold one of those executions.
type Publication struct {
	Topic   string // required
	Payload []byte
	Dedupe  string        // required; unique per topic until Keep has passed
	Keep    time.Duration // more than zero: how long it waits for a taker, and how long Dedupe is known
}

// Check refuses what no state of a database could make right, as Publish must. The
// error wraps ErrRefused.
func (p *Publication) Check() error {
	switch {
	case p.Topic == "":
		return fmt.Errorf("a publication without a topic: %w", ErrRefused)
	case p.Dedupe == "":
		return fmt.Errorf("a publication without Dedupe: %w", ErrRefused)
	case p.Keep <= 0:
		return fmt.Errorf("a publication that is kept for %s: %w", p.Keep, ErrRefused)
	}
	return nil
}

// Published answers Publish.
type Published struct {
	Now time.Time
	// Code is Applied, or Landed if Dedupe was used before for the topic and its time
	// has not passed: then nothing was changed.
	Code Code
	// Got is how many executions have got it. Nobody has: it is kept. After Landed it
	// is what has become of it since.
	Got int
}

// SweepPublications is how many publications whose time is over a Publish or Prune
// removes beside: more than a Publish adds, so that they do not pile up.
const SweepPublications = 20

// Parting is the release of a write as a store carries it out, nil if there is none. took says that
// something was kept for a wait which it was to open.
func (a *Advance) Parting(took bool) *Release {
	if a.Release == nil || !took {
		return a.Release
	}
	r := *a.Release
	switch r.Status {
	case Waiting:
		r.Status, r.Due = Pending, time.Time{}
	case Compensating:
		r.Due = time.Time{}
	}
	return &r
}
