package aitest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
)

// Exported says what Export has written.
type Exported struct {
	Runs  int `json:"runs"`  // that have calls on the cassette
	Calls int `json:"calls"` // on the cassette
	// LeftOut are requests of which nobody knows what came of them: they were cut off by the end of their process, or are on their way.
	LeftOut int `json:"left_out"`
	// Superseded are answers that a step has rejected by failing. They are on the cassette.
	Superseded int `json:"superseded"`
	// Files are those that are no text, and so in the cassette as they are.
	Files int `json:"files"`
}

// Export writes a cassette of what a run, its children and all below them have asked models, from what is recorded: so what has happened once
// becomes a test. A test plays it with Cassette, which takes the same Recording: of it Export uses what changes texts, Redact, Hide and
// Config.Redact. A test that starts the workflow with the same input asks the same, as long as its code does.
//
// What looks like a key is not written: nothing is then, and the error, an ErrSecret, says where it is. durable.ErrNotFound if there is no such run,
// ErrNoCalls if it has had no answer of a model. A run that is going on is exported as far as it has come.
func Export(ctx context.Context, e *durable.Engine, id durable.ID, w io.Writer, r ...Recording) (Exported, error) {
	var rec Recording
	if len(r) > 0 {
		rec = r[0]
	}
	if len(r) > 1 {
		return Exported{}, fmt.Errorf("aitest: %d Recordings, where one is enough", len(r))
	}
	x, err := rec.redactor()
	if err != nil {
		return Exported{}, fmt.Errorf("aitest: %w: %w", durable.ErrInvalid, err)
	}
	all, err := family(ctx, e, id)
	if err != nil {
		return Exported{}, fmt.Errorf("aitest: %w", err)
	}
	out, t, err := x.tape(all, ctx.Err)
	if err != nil {
		return Exported{}, fmt.Errorf("aitest: %w", err)
	}
	if out.Calls == 0 {
		return out, fmt.Errorf("aitest: run %s: %w", id, ErrNoCalls)
	}
	b, err := t.bytes(ctx.Err)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Exported{}, fmt.Errorf("aitest: %w", err)
	}
	_, err = w.Write(b)
	return out, err
}

// ErrNoCalls says that a run has had no answer of a model.
var ErrNoCalls = errors.New("no answer of a model is recorded")

// family are the requests of a run and of all below it, in the order in which they began.
func family(ctx context.Context, e *durable.Engine, id durable.ID) (all []ai.Exchange, err error) {
	for queue := []durable.ID{id}; len(queue) > 0; queue = queue[1:] {
		list, err := ai.Exchanges(ctx, e, queue[0])
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		for x, err := range e.EachExecution(ctx, durable.Filter{Parent: queue[0], Limit: 1000}) {
			if err != nil {
				return nil, err
			}
			queue = append(queue, x.ID)
		}
	}
	slices.SortStableFunc(all, func(a, b ai.Exchange) int { return a.Began.Compare(b.Began) })
	return all, nil
}

// tape is the cassette of requests. goOn says from time to time whether to go on.
func (x *redactor) tape(all []ai.Exchange, goOn func() error) (out Exported, t tape, err error) {
	t.Hide, t.Exported = x.hide, true
	runs, files := make(map[string]bool), make(map[string]bool)
	for _, c := range all {
		if c.Response == nil && c.Failure == nil && !c.Gone {
			out.LeftOut++
			continue
		}
		call := taken{where: fmt.Sprintf("run %s, step %s, try %d of %s", c.Execution, c.Path, c.Try, c.Name), Unanswered: c.Gone}
		var after []digest
		if call.Provider, call.Request, after, err = x.request(c.Provider, c.Request); err == nil {
			err = goOn()
		}
		switch {
		case err != nil:
		case c.Response != nil:
			call.Response, err = x.answer(c.Response)
		case c.Failure != nil:
			call.Error, err = x.failure(c.Failure)
		}
		if err != nil {
			return out, t, fmt.Errorf("%s: %w", call.where, err)
		}
		t.add(call, after)
		for _, m := range t.Calls[len(t.Calls)-1].Request.Messages {
			for _, f := range m.Files {
				if !readable(f.Data) {
					files[string(f.Data)] = true
				}
			}
		}
		runs[c.Execution] = true
		if out.Calls++; c.Superseded {
			out.Superseded++
		}
	}
	out.Runs, out.Files = len(runs), len(files)
	return out, t, nil
}
