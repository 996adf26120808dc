package durable

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// WaitCancelled is the error of a wait that engine.CancelWait ended. It is
// ErrWaitCancelled for errors.Is.
type WaitCancelled struct {
	Reason string
	By     string
}

func (e *WaitCancelled) Error() string {
	text := ErrWaitCancelled.Error()
	if e.By != "" {
		text += " by " + e.By
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Unwrap gives ErrWaitCancelled.
func (e *WaitCancelled) Unwrap() error { return ErrWaitCancelled }

func withdrawn(c *journal.Call) error {
	e := &WaitCancelled{By: string(c.Data)}
	if c.Err != nil {
		e.Reason = c.Err.Message
	}
	return e
}

// CancelWait ends an open wait of a run, of any kind: in its body the wait
// returns a *WaitCancelled, which is ErrWaitCancelled. A step that returns that
// error is not retried. Later waits are not affected.
//
// wait is the wait's name, or its id when several of that name are open; sleeps have no name: take the
// id from OpenWaits. A wait for any or all of several events is one wait, with one name for them together; what has come
// for a WaitForAll is returned beside the error. Of a cancel, an answer and a timeout one wins, and the others are told. An event that
// was accepted and not yet taken stays for a later wait. Errors: ErrNotFound, ErrRunDone, ErrNoSuchWait,
// ErrAmbiguous; ErrInvalid for the question what became of a step, which has to be answered.
func (e *Engine) CancelWait(ctx context.Context, id ID, wait, reason string, opts ...ActOption) error {
	o, err := acting(forCancelWait, opts)
	if err == nil {
		err = e.order(ctx, id, wait, run.TopicRevoke, run.Order{By: o.by, Reason: cut(reason, maxErrorText)})
	}
	if err != nil {
		return fmt.Errorf("cancel the wait %q of run %s: %w", wait, id, err)
	}
	return nil
}

// ExtendWait moves the deadline of an open wait of a run: it ends d from now, by
// the store's clock, whether that is later or earlier than before. A wait without a
// deadline gets one. If it returns nil the wait does not end at the old time. The change is recorded with
// who and when. Reminders stay where they are. wait and errors are as for CancelWait.
func (e *Engine) ExtendWait(ctx context.Context, id ID, wait string, d time.Duration, opts ...ActOption) error {
	return e.extend(ctx, id, wait, run.Order{For: d}, opts)
}

// ExtendWaitUntil is ExtendWait with the time at which the wait is to end. A time after the
// year 9999 is its end.
func (e *Engine) ExtendWaitUntil(ctx context.Context, id ID, wait string, until time.Time, opts ...ActOption) error {
	if until.IsZero() {
		return fmt.Errorf("extend the wait %q of run %s: %w: the time is zero", wait, id, ErrInvalid)
	}
	return e.extend(ctx, id, wait, run.Order{Until: run.Within(until)}, opts)
}

func (e *Engine) extend(ctx context.Context, id ID, wait string, order run.Order, opts []ActOption) error {
	o, err := acting(forExtendWait, opts)
	if err == nil {
		order.By = o.by
		err = e.order(ctx, id, wait, run.TopicExtend, order)
	}
	if err != nil {
		return fmt.Errorf("extend the wait %q of run %s: %w", wait, id, err)
	}
	return nil
}

// order sends an order to an open wait. It is accepted only while the wait is
// open; the run's owner carries it out.
func (e *Engine) order(ctx context.Context, id ID, wait, topic string, order run.Order) error {
	w, err := e.openWait(ctx, id, wait)
	if err != nil {
		return err
	}
	if w.Kind == "in_doubt" {
		return fmt.Errorf("%w: this wait asks what became of a step; answer it, or cancel the run", ErrInvalid)
	}
	raw, err := encode(order, maxLimit)
	if err != nil {
		return err
	}
	return e.deliver(ctx, &store.Deliver{
		ID: w.Execution, Wait: w.ID, Keep: topic == run.TopicExtend, Topic: topic, Payload: raw,
		Dedupe: topic + ":" + w.ID + ":" + uuid.NewString(),
	})
}

// openWait finds the open wait of any kind that a name or id means.
func (e *Engine) openWait(ctx context.Context, id ID, wait string) (*store.Wait, error) {
	open, err := e.waitsOf(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	w, err := named(slices.DeleteFunc(slices.Clone(open), isPart), wait)
	if w != nil || err != nil {
		return w, err
	}
	if err := oneOfSeveral(open, wait); err != nil {
		return nil, err
	}
	rec, err := e.store.Load(ctx, id, false)
	if err != nil {
		return nil, err
	}
	return nil, notOpen(rec.Status)
}

// isPart tells whether a row is no wait, but wakes one.
func isPart(w store.Wait) bool { return w.Kind == run.PartKind }

// oneOfSeveral is the error of who means one event of a wait for several. It is not ended or moved
// by itself: nobody would wait for the others any more, or for some only.
func oneOfSeveral(open []store.Wait, wait string) error {
	for _, o := range openWaits(open) {
		for i, event := range o.Events {
			if event.Name == wait || run.PartID(o.ID, i) == wait {
				return fmt.Errorf("%w: %q is one of the events of the wait %q, which ends or is moved as a whole: give that name, or its id %s",
					ErrNoSuchWait, event.Name, o.Name, o.ID)
			}
		}
	}
	return nil
}

// waitsOf lists the open waits of a run, all pages.
func (e *Engine) waitsOf(ctx context.Context, id ID, kinds []string) (list []store.Wait, err error) {
	f := store.WaitFilter{Execution: id, Kinds: kinds, Limit: 1000}
	for {
		page, err := e.store.Waits(ctx, f)
		if err != nil {
			return nil, err
		}
		list = append(list, page.Waits...)
		if f.Cursor = page.Cursor; f.Cursor == "" {
			return list, nil
		}
	}
}

// named finds the one wait that a name or id means; nil if there is none. A
// sleep has no name.
func named(open []store.Wait, wait string, kinds ...string) (*store.Wait, error) {
	var found []*store.Wait
	for i := range open {
		w := &open[i]
		if len(kinds) > 0 && !slices.Contains(kinds, w.Kind) {
			continue
		}
		if w.ID == wait {
			return w, nil
		}
		if w.Name == wait && wait != "" {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, w := range found {
		ids[i] = w.ID
	}
	return nil, fmt.Errorf("%w: name one by its id: %s", ErrAmbiguous, strings.Join(ids, ", "))
}

// notOpen says why there is no such wait.
func notOpen(status store.Status) error {
	if status.Ended() {
		return fmt.Errorf("%w: it is %s", ErrRunDone, status)
	}
	return fmt.Errorf("%w: it was answered, has timed out, or is not asked yet", ErrNoSuchWait)
}

// isWaitID tells whether a text has the form of a wait's id.
func isWaitID(text string) bool {
	return len(text) == 22 && strings.HasPrefix(text, "w_") && strings.Trim(text[2:], "0123456789abcdef") == ""
}

// mayBeEarly tells whether an answer that found no question may be kept.
func mayBeEarly(err error, o actOptions, wait string) bool {
	return o.early && errors.Is(err, ErrNoSuchWait) && !isWaitID(wait)
}
