package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/durable-go/durable"
)

// permanent marks an error that no retry of the step mends.
func permanent(err error) error { return durable.Permanent(err) }

// crashed marks the error of something that was cut off too often.
func crashed(err error) error { return durable.CrashLimit(err) }

// bodyOver says whether the engine has ended a body, by the cause of its context. Then nothing may be recorded of
// what was cut off.
func bodyOver(cause error) bool {
	for _, end := range []error{durable.ErrStopping, durable.ErrLeaseLost, durable.ErrTaken, durable.ErrStepTimeout, durable.ErrSuspended} {
		if errors.Is(cause, end) {
			return true
		}
	}
	return false
}

// misused says whether an error is that of a durable call in the wrong place.
func misused(err error) bool { return errors.Is(err, durable.ErrNotInStep) }

// logger is the step's, so that what is logged is kept with it.
func logger(ctx context.Context) *slog.Logger { return durable.Logger(ctx) }

// journalOf is where calls with a context are recorded; nil outside of steps.
func journalOf(ctx context.Context) Journal {
	if j, _ := ctx.Value(journalKey{}).(Journal); j != nil {
		return j
	}
	if info, ok := durable.Info(ctx); ok {
		return stepJournal{info}
	}
	return nil
}

// stepJournal records with the step of package durable that a context belongs to.
type stepJournal struct{ info durable.StepInfo }

func (j stepJournal) Info() StepInfo {
	i := j.info
	return StepInfo{
		Execution: i.Execution.String(), Workflow: i.Workflow, Path: i.Path, Attempt: i.Attempt, Epoch: i.Epoch, Failures: i.Failures,
		Crashes: i.Crashes, CanWait: !i.AtMostOnce, IdempotencyKey: i.IdempotencyKey,
	}
}

func (stepJournal) Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	return durable.Do(ctx, name, fn)
}

// record records a T with a journal, and reads it as it will be read later. A record of a step that this code cannot read, of
// newer code or a damaged one, blocks the run until there is code that can: it is not asked again, nor does the step fail.
func record[T any](ctx context.Context, j Journal, name string, fn func(context.Context) (*T, error)) (*T, error) {
	if _, ok := j.(stepJournal); ok {
		k, err := durable.Do(ctx, name, func(ctx context.Context) (kept[T], error) {
			v, err := fn(ctx)
			return kept[T]{v}, err
		})
		return k.v, err
	}
	raw, err := j.Do(ctx, name, func(ctx context.Context) (json.RawMessage, error) {
		v, err := fn(ctx)
		if err != nil {
			return nil, err
		}
		return canonical(v), nil
	})
	if err != nil {
		return nil, err
	}
	var k kept[T]
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, fmt.Errorf("ai: the record of %s cannot be read: %w", name, err)
	}
	return k.v, nil
}

func (stepJournal) Sleep(ctx context.Context, name string, d time.Duration) error {
	return durable.Sleep(ctx, d, durable.Named(name))
}

func (stepJournal) Ask(ctx context.Context, name string, q Question) (json.RawMessage, error) {
	opts := []durable.WaitOption{durable.Prompt(q.Prompt), durable.Schema(q.Schema)}
	if q.Details != nil {
		opts = append(opts, durable.Details(q.Details))
	}
	if q.Timed {
		opts = append(opts, durable.Timeout(q.Timeout))
		if q.Default != nil {
			opts = append(opts, durable.OnTimeout(q.Default))
		}
	}
	return durable.WaitForInput[json.RawMessage](ctx, name, opts...)
}

func (stepJournal) Blob(ctx context.Context, body []byte) (string, error) {
	return durable.Blob(ctx, body)
}

func (stepJournal) ReadBlob(ctx context.Context, hash string) ([]byte, error) {
	return durable.ReadBlob(ctx, hash)
}

func (stepJournal) Scope(ctx context.Context, name string) (context.Context, string) {
	return durable.Scope(ctx, name)
}

func (stepJournal) Recorded(ctx context.Context, name string) bool {
	return durable.Recorded(ctx, name)
}

// Calls are the requests that the steps of a run have sent to models, in the order in which they began. They are what the
// run's records say; costs are those of the time of the call. ErrNotFound of package durable if there is no such run.
func Calls(ctx context.Context, e *durable.Engine, id durable.ID) ([]CallInfo, error) {
	x, err := e.Execution(ctx, id, durable.WithCalls)
	if err != nil {
		return nil, err
	}
	return callsOf(x), nil
}

// Exchanges are the requests that Calls lists and that were sent, with their texts: of prompts, answers, files and tools. What steps have
// sent is as it was; nothing is redacted. ErrNotFound of package durable if there is no such run.
func Exchanges(ctx context.Context, e *durable.Engine, id durable.ID) ([]Exchange, error) {
	x, err := e.Execution(ctx, id, durable.WithCalls)
	if err != nil {
		return nil, err
	}
	list, err := newReader(func(hash string) ([]byte, error) { return e.Blob(ctx, id, hash) }).exchanges(entriesOf(x))
	for i := range list {
		list[i].Execution, list[i].Workflow, list[i].Tags = x.ID.String(), x.Workflow, x.Tags
	}
	return list, err
}

// EachCall goes through the calls of all runs that a filter selects, run by run, the newest run first. SumBy adds them up, by
// workflow or by tag. Each run is loaded whole, so this takes its time. An error about one run comes with a CallInfo that
// names it, and the loop may go on.
func EachCall(ctx context.Context, e *durable.Engine, f durable.Filter) iter.Seq2[CallInfo, error] {
	return func(yield func(CallInfo, error) bool) {
		for x, err := range e.EachExecution(ctx, f, durable.WithCalls) {
			if err != nil {
				var c CallInfo
				if x != nil {
					c.Execution, c.Workflow = x.ID.String(), x.Workflow
				}
				if !yield(c, err) {
					return
				}
				continue
			}
			for _, c := range callsOf(x) {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

func callsOf(x *durable.Execution) []CallInfo {
	list := infos(entriesOf(x))
	for i := range list {
		list[i].Execution, list[i].Workflow, list[i].Tags = x.ID.String(), x.Workflow, x.Tags
	}
	return list
}

// entriesOf is what the steps of a run have recorded.
func entriesOf(x *durable.Execution) (list []entry) {
	type step struct {
		path      string
		inherited bool
	}
	last, failures := make(map[step]int), make(map[step]int)
	for _, s := range x.Steps {
		k := step{s.Path, s.Inherited}
		last[k] = max(last[k], s.Attempt)
		if s.Status == "failed" || s.Status == "retrying" {
			failures[k]++
		}
	}
	for _, s := range x.Steps {
		var woke time.Time
		for _, w := range s.Waits {
			if w.Ended.After(w.Opened) && w.Ended.After(woke) {
				woke = w.Ended
			}
		}
		for _, c := range s.Calls {
			if c.Kind == "do" && c.Error == nil {
				list = append(list, entry{
					Path: s.Path, Attempt: s.Attempt, Name: c.Name, Scope: c.Scope, Data: c.Result, Last: last[step{s.Path, s.Inherited}], Failures: failures[step{s.Path, s.Inherited}], Again: woke.After(c.At), Open: s.Status != "done",
					Inherited: s.Inherited,
				})
			}
		}
	}
	return list
}

func (stepJournal) history(ctx context.Context) ([]entry, error) {
	x, err := durable.ThisRun(ctx, durable.WithCalls)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(entriesOf(x), func(e entry) bool { return e.Inherited }), nil
}

func (stepJournal) stream(ctx context.Context, name string) (streamWriter, error) {
	return durable.Stream(ctx, name)
}

// refusesStream says whether an error of a stream is about how it is used.
func refusesStream(err error) bool {
	return errors.Is(err, durable.ErrInvalid) || errors.Is(err, durable.ErrTooLarge)
}

func (stepJournal) take(ctx context.Context, name string, draws []draw) (id string, ok bool, counter string, wait time.Duration, err error) {
	t, err := durable.Take(ctx, name, drawsOf(draws)...)
	return t.ID, t.OK, t.Counter, t.RetryIn, err
}

func (stepJournal) giveBack(ctx context.Context, id string, draws []draw) error {
	return durable.Settle(ctx, id, drawsOf(draws)...)
}

func (stepJournal) takeOnce(ctx context.Context, name string, draws []draw) (id string, ok bool, counter string, err error) {
	t, err := durable.TakeOnce(ctx, name, drawsOf(draws)...)
	return t.ID, t.OK, t.Counter, err
}

func (stepJournal) count(ctx context.Context, run [16]byte, counter string) (int64, error) {
	n, err := durable.Counted(ctx, run, counter)
	return n.All, err
}

func (j stepJournal) line(ctx context.Context) ([]ancestor, error) {
	list := []ancestor{{j.info.Execution, j.info.Execution.String(), j.info.Workflow}}
	above, err := durable.Ancestors(ctx)
	for _, x := range above {
		list = append(list, ancestor{x.ID, x.ID.String(), x.Workflow})
	}
	return list, err
}

func (stepJournal) unvisited(ctx context.Context, prefix string) []string {
	return durable.Unvisited(ctx, prefix)
}

func drawsOf(list []draw) []durable.Draw {
	out := make([]durable.Draw, len(list))
	for i, d := range list {
		out[i] = durable.Draw{Counter: d.counter, Run: d.run, Amount: d.amount, Limit: d.limit, For: d.lasts}
	}
	return out
}
