package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Cancel ends a run for good. From its return on nothing changes the run any
// more; the context of a running step ends soon after. Cancelling twice is
// harmless.
//
// With AndCompensate the run goes back instead: from the return on no step begins
// any more, what was done is undone, and the run ends as compensated or
// compensation_failed, with this cancel as its error. A run that goes back already
// cannot be cancelled: ErrCompensating. With Force its rollback ends after the
// compensation that is running.
//
// Errors: ErrNotFound, ErrRunDone, ErrCompensating.
func (e *Engine) Cancel(ctx context.Context, id ID, reason string, opts ...ActOption) error {
	o, err := acting(forCancel, opts)
	if err == nil {
		err = e.cancel(ctx, id, reason, o)
	}
	if err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	return nil
}

// farOwner is how long a rollback that a cancel begins waits for the worker of
// another process to hear of it, and to stop what it runs. Who does not hear in
// time (its store gives no hints, or it hangs) still runs its step meanwhile.
const farOwner = 2 * time.Second

func (e *Engine) cancel(ctx context.Context, id ID, reason string, o actOptions) error {
	cause := &journal.Error{Code: "cancelled", Message: cut(reason, maxErrorText)}
	if cause.Message == "" {
		cause.Message = "cancelled"
	}
	for {
		rec, err := e.store.Load(ctx, id, false)
		if err != nil {
			return err
		}
		// Who goes back is compensating, but for a moment after he was blocked there.
		if h, err := run.Replay(&rec); err == nil && h.Back != nil && !rec.Status.Ended() {
			return e.halt(ctx, id, rec.Status, o)
		}
		c := e.cancelling(&rec, cause, o)
		v, err := e.runner.Do(ctx, store.Write{Control: c})
		switch {
		case err != nil:
			return err
		case v.Code == store.Applied || v.Code == store.Landed:
			e.runner.Taken(id)
			if !o.undo {
				e.orphan(ctx, id, cause.Message)
				e.hub.tell(id, ended{status: store.Cancelled, err: cause})
			}
			return nil
		case v.Code == store.Ended && v.Status == store.Compensating:
			return e.halt(ctx, id, v.Status, o)
		case v.Code == store.Ended && v.Status == store.Cancelled:
			if !o.undo { // who has cancelled it may have been cut off before
				e.orphan(ctx, id, cause.Message)
			}
			return nil
		case v.Code == store.Ended && !v.Status.Ended(), v.Code == store.Superseded: // it has moved since: look again
			continue
		}
		return refusedChange(v)
	}
}

// cancelling is the write that cancels a run as it was loaded. What is blocked, or pending since it
// was let go on, may be going back, which only its journal tells. So the write reaches nothing that was
// claimed or let go on since: who goes back has been. And a write that was made for a run that was not blocked
// does not reach one that is, as its owner may have turned it back just before.
func (e *Engine) cancelling(rec *store.Record, cause *journal.Error, o actOptions) *store.Control {
	fact := journal.Fact{Kind: journal.Cancelled, Err: cause, Data: []byte(o.by), Undo: o.undo, At: time.Now().UnixMicro()}
	c := &store.Control{
		ID: rec.ID, Row: journal.Encode([]journal.Fact{fact}), Before: rec.Epoch + 1,
		From: []store.Status{store.Pending, store.Running, store.Waiting},
		Release: store.Release{
			Status: store.Cancelled, ErrorCode: cause.Code, Error: run.EncodeError(cause),
			Report: run.ChildReport{ID: rec.ID, Workflow: rec.Workflow, Status: store.Cancelled, Error: cause}.Encode(), Topic: run.ItemsTopic(rec.Workflow),
			Family: run.Notice(rec.ID, cause.Message),
		},
	}
	if rec.Status == store.Blocked {
		c.From = []store.Status{store.Blocked}
	}
	if o.undo {
		c.Release = store.Release{Status: store.Compensating}
		if rec.Owner != (store.Incarnation{}) && !e.runner.Drives(rec.ID) {
			c.Release.Due = rec.Now.Add(farOwner)
		}
	}
	return c
}

// orphan cancels the blocked children of a cancelled run; later, if the store cannot say now which they are.
func (e *Engine) orphan(ctx context.Context, parent ID, reason string) {
	if !e.cancelBlocked(ctx, parent, reason, false) {
		e.orphans.note(orphan{parent: parent, reason: reason, tries: 1})
	}
}

// cancelBlocked cancels children that no worker takes up to hear of it: those that
// are blocked. The others have a message. With undo they go back, if they have anything to undo. It tells whether
// that was done for all.
func (e *Engine) cancelBlocked(ctx context.Context, parent ID, reason string, undo bool) bool {
	all := true
	for f := (store.Filter{Parent: parent, Statuses: []store.Status{store.Blocked}, Limit: 1000}); ; {
		page, err := e.store.List(ctx, f)
		if err != nil {
			e.log.Warn("blocked children of a cancelled run could not be looked for", "execution", parent.String(), "error", err)
			return false
		}
		for _, x := range page.Executions {
			if !x.Detached && !e.cancelChild(ctx, x.ID, "by its parent "+parent.String()+": "+reason, undo) {
				all = false
			}
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			return all
		}
	}
}

func (e *Engine) cancelChild(ctx context.Context, id ID, reason string, undo bool) bool {
	var opts []ActOption
	if undo && e.undoable(ctx, id) {
		opts = append(opts, AndCompensate())
	}
	err := e.Cancel(ctx, id, reason, opts...)
	if err == nil || errors.Is(err, ErrRunDone) || errors.Is(err, ErrCompensating) || errors.Is(err, ErrNotFound) {
		return true
	}
	e.log.Warn("a blocked child of a cancelled run could not be cancelled", "execution", id.String(), "error", err)
	return false
}

// undoable tells whether a run that is cancelled may have anything to undo.
func (e *Engine) undoable(ctx context.Context, id ID) bool {
	rec, err := e.store.Load(ctx, id, false)
	if err != nil {
		return true // the cancel will say so
	}
	h, err := run.Replay(&rec)
	return err != nil || h.Undoable() || h.OpenKin()
}

// refusedChange says why a change from outside was not made.
func refusedChange(v store.Verdict) error {
	switch v.Code {
	case store.NotFound:
		return ErrNotFound
	case store.Ended:
		return fmt.Errorf("%w: it is %s", ErrRunDone, v.Status)
	}
	return errors.New("the store refused it")
}

// halt ends a rollback: by a message, since what is being undone at this moment
// is to come to its end. Where the rollback is blocked, nobody would read that.
func (e *Engine) halt(ctx context.Context, id ID, status Status, o actOptions) error {
	switch {
	case !o.force:
		return ErrCompensating
	case status != store.Blocked:
		return e.deliver(ctx, &store.Deliver{ID: id, Topic: run.TopicHalt, Payload: []byte(o.by), Dedupe: "halt:" + uuid.NewString()})
	}
	fact := journal.Fact{Kind: journal.Halted, Data: []byte(o.by), At: time.Now().UnixMicro()}
	v, err := e.runner.Do(ctx, store.Write{Control: &store.Control{
		ID: id, From: []store.Status{store.Blocked}, Row: journal.Encode([]journal.Fact{fact}), Release: store.Release{Status: store.Compensating},
	}})
	switch {
	case err != nil:
		return err
	case v.Code == store.Applied || v.Code == store.Landed:
		e.runner.Poke("")
		return nil
	case v.Code == store.Ended && !v.Status.Ended(): // code that can go on has taken it up
		return e.halt(ctx, id, v.Status, o)
	}
	return refusedChange(v)
}

// Retry lets a run go on that could not be rolled back: each compensation that
// failed, and each that was skipped, is tried again with a fresh budget of
// attempts. Those that succeeded are not. Errors: ErrNotFound, ErrNotRetryable for a
// run in any other status.
func (e *Engine) Retry(ctx context.Context, id ID, opts ...ActOption) error {
	o, err := acting(forRetry, opts)
	if err != nil {
		return fmt.Errorf("retry run %s: %w", id, err)
	}
	fact := journal.Fact{Kind: journal.Revived, Data: []byte(o.by), At: time.Now().UnixMicro()}
	v, err := e.runner.Do(ctx, store.Write{Control: &store.Control{
		ID: id, From: []store.Status{store.CompensationFailed}, Row: journal.Encode([]journal.Fact{fact}), Release: store.Release{Status: store.Compensating},
	}})
	switch {
	case err != nil:
	case v.Code == store.Applied || v.Code == store.Landed:
		e.runner.Poke("")
		return nil
	case v.Code == store.NotFound:
		err = ErrNotFound
	default:
		err = fmt.Errorf("%w: it is %s", ErrNotRetryable, v.Status)
	}
	return fmt.Errorf("retry run %s: %w", id, err)
}
