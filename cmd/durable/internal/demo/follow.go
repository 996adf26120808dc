package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// tag marks the runs of the demo.
const tag = "demo"

// place is a document and what is known of its run.
type place struct {
	Document
	run      durable.ID
	before   bool // the run was there when the demo began
	x        *durable.Execution
	result   pipeline.Document
	seen     bool // it was at work once
	ended    bool
	question *durable.PendingInput
	told     int    // attempts of which was said how they ended, where there is no board
	asked    string // id of the question that was said
	toldEnd  bool
	waited   bool
	calls    []ai.CallInfo // what was asked of the model
	toldCall int           // of them, how many were told of
}

// follower asks the engine where the runs stand.
type follower struct {
	engine *durable.Engine
	places []*place
	byRun  map[durable.ID]*place
}

// counts is how many runs are where.
type counts struct {
	all, queued, running, retrying, waiting, completed, failed, blocked int
	held                                                                int // of those that wait: for a key, a quota or a budget
	retries, steps                                                      int
}

// over: nothing will happen by itself any more.
func (c counts) over() bool { return c.queued+c.running+c.retrying == 0 }

// refresh looks at all runs of the demo, and closer at those which are at work.
func (f *follower) refresh(ctx context.Context) error {
	filter := durable.Filter{Workflow: pipeline.Name, Tags: []string{tag}, Limit: 1000}
	for {
		page, err := f.engine.Executions(ctx, filter)
		if err != nil {
			return err
		}
		for _, x := range page.Executions {
			if p := f.byRun[x.ID]; p != nil && !p.ended {
				if err := f.look(ctx, p, x); err != nil {
					return err
				}
			}
		}
		if filter.Cursor = page.Cursor; filter.Cursor == "" {
			break
		}
	}
	return f.questions(ctx)
}

// look takes a header, and loads the steps of a run that is or was at work.
func (f *follower) look(ctx context.Context, p *place, x *durable.Execution) error {
	if x.Status == durable.Pending && !p.seen && !p.before {
		p.x = x
		return nil
	}
	p.seen = true
	full, err := f.engine.Execution(ctx, p.run, durable.WithSteps)
	if err != nil {
		return err
	}
	if p.calls, err = ai.Calls(ctx, f.engine, p.run); err != nil {
		return err
	}
	if p.before && p.x == nil {
		p.skip(full)
	}
	p.x, p.ended = full, full.Status.Ended()
	if p.ended && full.State != nil {
		if err := json.Unmarshal(full.State, &p.result); err != nil {
			return fmt.Errorf("the state of run %s: %w", p.run, err)
		}
	}
	return nil
}

// questions finds what people are asked.
func (f *follower) questions(ctx context.Context) error {
	for _, p := range f.places {
		p.question = nil
	}
	for filter := (durable.InputFilter{Workflow: pipeline.Name, Limit: 1000}); ; {
		page, err := f.engine.PendingInputs(ctx, filter)
		if err != nil {
			return err
		}
		for i := range page.Inputs {
			if p := f.byRun[page.Inputs[i].Execution]; p != nil && !p.ended {
				p.question, p.waited = &page.Inputs[i], true
			}
		}
		if filter.Cursor = page.Cursor; filter.Cursor == "" {
			return nil
		}
	}
}

func (f *follower) count() counts {
	c := counts{all: len(f.places)}
	for _, p := range f.places {
		switch p.standing() {
		case queued:
			c.queued++
		case retrying:
			c.retrying++
		case running:
			c.running++
		case waiting:
			c.waiting++
			if p.question.Name == holdName {
				c.held++
			}
		case blocked:
			c.blocked++
		case completed:
			c.completed++
		default:
			c.failed++
		}
		c.retries += p.retries() - len(p.troubles())
		c.steps += len(p.done())
	}
	return c
}

// standing is where a run stands, for people.
type standing string

const (
	queued    standing = "queued"
	running   standing = "running"
	retrying  standing = "retrying"
	waiting   standing = "waiting"
	blocked   standing = "blocked"
	completed standing = "done"
)

func (p *place) standing() standing {
	switch {
	case p.x == nil:
		return queued
	case p.x.Status == durable.Completed:
		return completed
	case p.x.Status.Ended():
		return standing(p.x.Status)
	case p.x.Status == durable.Blocked:
		return blocked
	case p.question != nil:
		return waiting
	}
	switch s := p.current(); {
	case s == nil:
		return queued
	case s.Status == "retrying" || s.Status == "crashed" || s.Status == "lost" || p.trouble() != nil:
		return retrying
	}
	return running
}

// current is the newest attempt, if it is not done.
func (p *place) current() *durable.StepRecord {
	if p.x == nil {
		return nil
	}
	for i := len(p.x.Steps) - 1; i >= 0; i-- {
		if s := &p.x.Steps[i]; s.Kind == "step" {
			return s
		}
	}
	return nil
}

// done is the steps that are done.
func (p *place) done() (list []durable.StepRecord) {
	if p.x == nil {
		return nil
	}
	for _, s := range p.x.Steps {
		if s.Kind == "step" && s.Status == "done" {
			list = append(list, s)
		}
	}
	return list
}

// retries is how many attempts were not the last of their step, and how many calls had to be made again.
func (p *place) retries() (n int) {
	if p.x == nil {
		return 0
	}
	n = len(p.troubles())
	for _, s := range p.x.Steps {
		if s.Kind == "step" && (s.Status == "retrying" || s.Status == "crashed" || s.Status == "lost") {
			n++
		}
	}
	return n
}

// took is the time from the first body to the end, or to now.
func (p *place) took(now time.Time) time.Duration {
	switch {
	case p.x == nil || len(p.x.Steps) == 0:
		return 0
	case p.ended:
		return p.x.Ended.Sub(p.x.Steps[0].Started)
	}
	return now.Sub(p.x.Steps[0].Started)
}
