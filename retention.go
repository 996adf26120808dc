package durable

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/durable-go/durable/store"
)

// Retain removes runs of this name and version once they have ended for d: the
// run with its journal, logs and messages, and its key, which may then be used
// again. The default is to keep them for ever. d must be positive; Open refuses
// others.
//
// Workers that have this definition do it in the background while Run runs.
// They look every tenth of d, at least every 10 minutes and at most every
// second, so a run is there a little longer than d. Runs that have not ended are
// never touched, however old.
//
// A removed run is ErrNotFound to whoever asks for it, and a start with its key
// begins a new run, even if it is the old start that is sent again: make d
// longer than anybody waits for the result or repeats the start.
//
// Retain does not belong to the definition's fingerprint. It may be changed at
// any time, and counts for runs that ended before, too.
func (w *Workflow[S]) Retain(d time.Duration) *Workflow[S] {
	w.retain = d
	if d <= 0 {
		w.tree.Root.Mistakes = append(w.tree.Root.Mistakes, fmt.Sprintf("Retain: %s is not positive; leave it out to keep runs for ever", d))
	}
	return w
}

// PruneOptions select ended runs for Prune. Set fields combine by "and".
type PruneOptions struct {
	Workflow  string        // "": all, those without a definition here included
	Version   *string       // nil: all
	Statuses  []Status      // of ended runs; empty: all of them
	OlderThan time.Duration // since the end of the run, by the database's clock; must be positive
	DryRun    bool          // only count
}

// Prune removes ended runs, as Retain does, whatever their definitions say, and
// returns how many it removed; with DryRun, how many it would. It works in
// batches of at most 1,000 with rests between them, so that workers hardly
// notice. Runs that begin to match meanwhile are removed, too. When ctx ends, or
// with another error, the number is what is known to be removed; one more batch
// may be. Errors: ErrInvalid.
func (e *Engine) Prune(ctx context.Context, o PruneOptions) (int, error) {
	if o.OlderThan <= 0 {
		return 0, fmt.Errorf("prune: %w: OlderThan is %s; give the age from which on ended runs are removed", ErrInvalid, o.OlderThan)
	}
	for _, s := range o.Statuses {
		if !s.Ended() {
			return 0, fmt.Errorf("prune: %w: %q is not the status of an ended run", ErrInvalid, s)
		}
	}
	n, err := e.prune(ctx, store.PruneRequest{
		Workflow: o.Workflow, Version: o.Version, Statuses: o.Statuses, Age: o.OlderThan, Count: o.DryRun,
	})
	if err != nil {
		return n, fmt.Errorf("prune: %w", err)
	}
	return n, nil
}

// Numbers of the background work.
const (
	pruneOften  = time.Second      // rounds are not closer
	pruneRarely = 10 * time.Minute // nor further apart, jitter aside
	pruneRest   = 10 * time.Millisecond
	pruneShare  = 4 // rests so many times as long as the batch before took
	pruneWait   = 30 * time.Second
)

// prune removes batch by batch until nothing is left. Whoever else prunes takes
// others at the same time.
func (e *Engine) prune(ctx context.Context, req store.PruneRequest) (removed int, err error) {
	for {
		begun := time.Now()
		call, cancel := context.WithTimeout(ctx, pruneWait)
		p, err := e.store.Prune(call, req)
		cancel()
		if err != nil {
			return removed, err
		}
		if removed += p.Removed; p.Removed > 0 && !req.Count {
			e.hub.forget()
		}
		if !p.More || req.Count {
			return removed, nil
		}
		if err := pause(ctx, jitter(max(pruneRest, pruneShare*time.Since(begun)))); err != nil {
			return removed, err
		}
	}
}

// retain prunes what the definitions say until ctx ends.
func (e *Engine) retain(ctx context.Context) {
	every := pruneRarely
	var keep []*definition
	for _, d := range e.defs {
		if d.retain > 0 {
			keep = append(keep, d)
			every = min(every, max(d.retain/10, pruneOften))
		}
	}
	if len(keep) == 0 {
		return
	}
	failed := false
	for pause(ctx, jitter(every)) == nil {
		var errs []error
		for _, d := range keep {
			if _, err := e.prune(ctx, store.PruneRequest{Workflow: d.tree.Name, Version: &d.tree.Version, Age: d.retain}); err != nil {
				errs = append(errs, fmt.Errorf("workflow %s: %w", d.tree.Name, err))
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err := errors.Join(errs...); err != nil && !failed {
			e.log.Warn("old runs could not be removed; trying again", "error", err)
		}
		failed = len(errs) > 0
	}
}

// pause waits for d, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// jitter is half to all of d, so that workers that were started together do not
// stay in step.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }
