package durable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Status is where a run stands.
type Status = store.Status

// The statuses.
const (
	Pending            = store.Pending
	Running            = store.Running
	Waiting            = store.Waiting
	Completed          = store.Completed
	Failed             = store.Failed
	Cancelled          = store.Cancelled
	Compensating       = store.Compensating
	Compensated        = store.Compensated
	CompensationFailed = store.CompensationFailed
	Blocked            = store.Blocked
)

// Filter selects runs for Executions.
type Filter = store.Filter

// Execution is what is known of a run.
type Execution struct {
	ID       ID              `json:"id"`
	Workflow string          `json:"workflow"`
	Version  string          `json:"version,omitempty"`
	Queue    string          `json:"queue"`
	Key      string          `json:"key,omitempty"`
	Priority int             `json:"priority,omitempty"`
	Tags     []string        `json:"tags,omitempty"`
	Status   Status          `json:"status"`
	Parent   ID              `json:"parent,omitzero"`
	Origin   *Origin         `json:"origin,omitempty"`   // what it was forked from; not in lists
	Detached bool            `json:"detached,omitempty"` // its parent's cancel does not reach it
	Created  time.Time       `json:"created"`
	Due      time.Time       `json:"due,omitzero"` // pending or waiting: when it goes on by itself
	Ended    time.Time       `json:"ended,omitzero"`
	Worker   string          `json:"worker,omitempty"` // incarnation that has it
	Error    *Failure        `json:"error,omitempty"`
	Input    json.RawMessage `json:"input,omitempty"` // not in lists
	State    json.RawMessage `json:"state,omitempty"` // not in lists
	Steps    []StepRecord    `json:"steps,omitempty"` // with WithSteps
	Inbox    []InboxMessage  `json:"inbox,omitempty"` // messages nobody took; not in lists
}

// StepRecord is one attempt of a step or of its compensation, or the answer of a branch or loop.
type StepRecord struct {
	Path     string          `json:"path"`
	Kind     string          `json:"kind"` // step, branch, loop, parallel, each, wait, compensate
	Attempt  int             `json:"attempt,omitempty"`
	Status   string          `json:"status"`           // running, waiting, done, failed, retrying, snoozed, stopped, crashed, lost, in_doubt, cancelled, skipped
	Answer   string          `json:"answer,omitempty"` // branch: the case taken, "(default)" or "(none)"; loop: "again" or "leave"
	Started  time.Time       `json:"started,omitzero"`
	Ended    time.Time       `json:"ended,omitzero"`
	Duration time.Duration   `json:"duration"` // from start to end, waits included
	Waited   time.Duration   `json:"waited,omitempty"`
	Error    *Failure        `json:"error,omitempty"`
	Change   json.RawMessage `json:"change,omitempty"`   // what it changed in the state; of a compensation: in what it saw, which nobody else does
	Children []string        `json:"children,omitempty"` // ids of runs that it began; of the undo of a child: that child
	Waits    []WaitRecord    `json:"waits,omitempty"`    // in the order of opening
	Calls    []CallRecord    `json:"calls,omitempty"`    // with WithCalls: in the order of recording

	Undo    string `json:"undo,omitempty"`     // of a step: the path under which its compensation is recorded and logs, should it come to that
	Undoes  string `json:"undoes,omitempty"`   // of a compensation: the path of the step
	InDoubt bool   `json:"in_doubt,omitempty"` // of a compensation: the step was cut off, and nobody knows how far it came

	Inherited bool `json:"inherited,omitempty"` // it was done by the run from which this one was forked
}

// WaitRecord is one wait of an attempt.
type WaitRecord struct {
	Kind   string     `json:"kind"` // event, input, approval, choice, text, form, in_doubt, sleep, call
	Name   string     `json:"name,omitempty"`
	Opened time.Time  `json:"opened"`
	Ended  time.Time  `json:"ended,omitzero"` // zero while it is open; Opened if it never had to wait
	By     string     `json:"by,omitempty"`   // what ended it: message, timeout, cancelled
	Notes  []WaitNote `json:"notes,omitempty"`
}

// InboxMessage is a message that no wait has taken.
type InboxMessage struct {
	Name    string          `json:"name"`
	Key     string          `json:"key,omitempty"` // for which it was published
	Payload json.RawMessage `json:"payload"`
	At      time.Time       `json:"at"`
	Early   bool            `json:"early,omitempty"` // an answer to a question that is not asked yet
}

// QueryOption asks for more.
type QueryOption func(*queryOptions)

type queryOptions struct{ steps, calls bool }

// WithSteps asks for the attempts of all steps.
var WithSteps QueryOption = withSteps // lint:var an option without an argument

func withSteps(o *queryOptions) { o.steps = true }

// WithCalls is WithSteps with what each attempt recorded of Do and All.
var WithCalls QueryOption = withCalls // lint:var an option without an argument

func withCalls(o *queryOptions) { o.steps, o.calls = true, true }

func querying(opts []QueryOption) (o queryOptions) {
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// Execution returns a run: status, input, state so far and error; with
// WithSteps each attempt of each step too, WithCalls those with their calls. ErrNotFound if there is none.
func (e *Engine) Execution(ctx context.Context, id ID, opts ...QueryOption) (*Execution, error) {
	o := querying(opts)
	rec, err := e.store.Load(ctx, id, o.steps)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	x := execution(&rec.Execution)
	for _, m := range rec.Messages {
		if name, key, ok := readTopic(m.Topic); ok {
			x.Inbox = append(x.Inbox, InboxMessage{name, key, m.Payload, m.At, false})
		} else if name, ok := cutPrefix(m.Topic, earlyTopic("")); ok {
			var a answer
			_ = json.Unmarshal(m.Payload, &a) // it is ours
			x.Inbox = append(x.Inbox, InboxMessage{name, "", a.Value, m.At, true})
		}
	}
	h, err := run.Replay(&rec)
	if err != nil {
		x.Error = &Failure{Code: "corrupt", Message: err.Error()}
		return x, nil // what the header says is still worth showing
	}
	x.Input, x.State, x.Origin = h.Input, h.State, origin(h)
	if h.Back != nil && x.Error == nil { // the header says it in the end
		x.Error = failure(h.Back.Err)
	}
	if o.steps {
		if x.Steps, err = stepRecords(rec.Rows, rec.Status, o.calls); err != nil {
			return nil, fmt.Errorf("run %s: %w", id, err)
		}
	}
	return x, nil
}

func execution(r *store.Execution) *Execution {
	x := &Execution{
		ID: r.ID, Workflow: r.Workflow, Version: r.Version, Queue: r.Queue, Key: r.Key, Priority: r.Priority,
		Tags: r.Tags, Status: r.Status, Parent: r.Parent, Detached: r.Detached, Created: r.Created, Due: r.Due, Ended: r.Ended, Error: failure(storedError(r.Error)),
	}
	if x.Status == Compensating && x.Due.Sub(x.Created) >= run.UndoFar/2 { // a message comes first
		x.Due = time.Time{}
	}
	if r.Owner != (store.Incarnation{}) {
		x.Worker = r.Owner.String()
	}
	return x
}

// stepRecords folds journal rows into attempts.
func stepRecords(rows []store.Row, status Status, calls bool) ([]StepRecord, error) {
	list, err := decoded(rows)
	if err != nil {
		return nil, err
	}
	var out []StepRecord
	for _, a := range journal.Attempts(list) {
		s := StepRecord{
			Path: a.Path, Kind: a.Kind, Attempt: a.Number, Status: string(a.Outcome), Started: micros(a.Start), Ended: micros(a.End),
			Waited: time.Duration(a.Waiting) * time.Microsecond, Error: failure(a.Err), Change: a.Patch, Children: a.Children,
			Undo: a.Undo, Undoes: a.Undoes, InDoubt: a.InDoubt, Inherited: a.Inherited,
		}
		for _, w := range a.Waits {
			s.Waits = append(s.Waits, WaitRecord{w.Kind, w.Name, micros(w.Opened), micros(w.Ended), w.By, waitNotes(w.Notes)})
		}
		if calls {
			s.Calls = callRecords(a.Done, a.Number)
		}
		if a.Answer != nil {
			s.Answer = wayText(a.Answer)
		}
		if status.Ended() && a.End == 0 && a.Outcome != journal.OutcomeSkipped {
			s.Status = "stopped"
		}
		if a.End > 0 && a.Start > 0 {
			s.Duration = s.Ended.Sub(s.Started)
		}
		out = append(out, s)
	}
	return out, nil
}

// decoded reads journal rows.
func decoded(rows []store.Row) ([]journal.Row, error) {
	list := make([]journal.Row, len(rows))
	for i, r := range rows {
		facts, err := journal.Decode(r.Body)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", r.Seq, err)
		}
		list[i] = journal.Row{Seq: r.Seq, Epoch: r.Epoch, Facts: facts}
	}
	return list, nil
}

// wayText is the answer of a branch or loop, for people.
func wayText(a *journal.Answer) string {
	switch a.Way {
	case journal.WayCase:
		return a.Case
	case journal.WayDefault:
		return "(default)"
	case journal.WayAgain:
		return "again"
	case journal.WayLeave:
		return "leave"
	case journal.WayGoto:
		return "goto " + a.Case
	case journal.WayNext:
		return "next"
	case journal.WayLanes, journal.WayItems:
		return strconv.Itoa(a.Items)
	case journal.WaySkip:
		return "skip"
	}
	return "(none)"
}

func micros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// ExecutionPage is a page of runs.
type ExecutionPage struct {
	Executions []*Execution `json:"executions"`
	Cursor     string       `json:"cursor,omitempty"` // for the next page; "" at the end
	Count      int          `json:"count,omitempty"`  // with Filter.Count: all that match
}

// Executions lists runs, newest first. Pages are stable while runs are added.
func (e *Engine) Executions(ctx context.Context, f Filter) (*ExecutionPage, error) {
	for _, s := range f.Statuses {
		if !s.Valid() {
			return nil, fmt.Errorf("list runs: %w: %q is no status; the statuses are %v", ErrInvalid, s, store.Statuses())
		}
	}
	p, err := e.store.List(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	page := &ExecutionPage{Cursor: p.Cursor, Count: p.Count, Executions: make([]*Execution, len(p.Executions))}
	for i := range p.Executions {
		page.Executions[i] = execution(&p.Executions[i])
	}
	return page, nil
}

// ByKey finds the run of a workflow that was started with a key.
func (e *Engine) ByKey(ctx context.Context, workflow, key string) (*Execution, error) {
	p, err := e.store.List(ctx, store.Filter{Workflow: workflow, Key: key, Limit: 1})
	switch {
	case err != nil:
		return nil, fmt.Errorf("run of %s with key %q: %w", workflow, key, err)
	case len(p.Executions) == 0:
		return nil, fmt.Errorf("run of %s with key %q: %w", workflow, key, ErrNotFound)
	}
	return e.Execution(ctx, p.Executions[0].ID)
}

// PendingInput is a question that waits for a person.
type PendingInput struct {
	ID        string          `json:"id"` // answers exactly this one
	Execution ID              `json:"execution"`
	Workflow  string          `json:"workflow"`
	Path      string          `json:"path"`
	Name      string          `json:"name"`
	Kind      string          `json:"kind"` // input, approval, choice, text, form, in_doubt
	Prompt    string          `json:"prompt,omitempty"`
	Details   json.RawMessage `json:"details,omitempty"`
	Schema    json.RawMessage `json:"schema,omitempty"` // JSON Schema of the answer
	Opened    time.Time       `json:"opened"`
	Deadline  time.Time       `json:"deadline,omitzero"`
	Queue     string          `json:"queue"`

	Choices   []InputChoice `json:"choices,omitempty"`   // choice
	Several   bool          `json:"several,omitempty"`   // choice: any number of them, as a list
	Multiline bool          `json:"multiline,omitempty"` // text
	Fields    []FormField   `json:"fields,omitempty"`    // form

	Assignee   string     `json:"assignee,omitempty"`
	Reminded   int        `json:"reminded,omitempty"` // how often, of the newest 50 notes
	RemindedAt time.Time  `json:"reminded_at,omitzero"`
	Notes      []WaitNote `json:"notes,omitempty"` // what happened to it since it was opened; the newest 50
}

// InputFilter selects pending inputs. Zero fields do not filter.
type InputFilter struct {
	ID        string
	Execution ID
	Workflow  string
	Queue     string
	Name      string
	Kind      string
	Assignee  string
	Cursor    string
	Limit     int // default 50, at most 1,000
}

// InputPage is a page of pending inputs.
type InputPage struct {
	Inputs []PendingInput `json:"inputs"`
	Cursor string         `json:"cursor,omitempty"`
}

// PendingInputs lists the questions that wait for people: those with the
// nearest deadline first, then the oldest.
func (e *Engine) PendingInputs(ctx context.Context, f InputFilter) (*InputPage, error) {
	kinds := inputKinds()
	if f.Kind != "" {
		kinds = []string{f.Kind}
	}
	p, err := e.store.Waits(ctx, store.WaitFilter{
		ID: f.ID, Execution: f.Execution, Workflow: f.Workflow, Queue: f.Queue, Name: f.Name, Label: f.Assignee, Kinds: kinds, Cursor: f.Cursor, Limit: f.Limit,
	})
	if err != nil {
		return nil, fmt.Errorf("list inputs: %w", err)
	}
	page := &InputPage{Cursor: p.Cursor, Inputs: make([]PendingInput, len(p.Waits))}
	for i, w := range p.Waits {
		var q question
		if err := json.Unmarshal(w.Detail, &q); err != nil {
			q.Prompt = "(the stored question cannot be read: " + err.Error() + ")"
		}
		page.Inputs[i] = PendingInput{
			ID: w.ID, Execution: w.Execution, Workflow: w.Workflow, Path: w.Path, Name: w.Name, Kind: w.Kind,
			Prompt: q.Prompt, Details: q.Details, Schema: q.Schema, Opened: w.Opened, Deadline: w.Deadline, Queue: w.Queue,
			Choices: q.Choices, Several: q.Several, Multiline: q.Multiline, Fields: q.Fields, Assignee: w.Label, Notes: waitNotes(q.Notes),
		}
		page.Inputs[i].Reminded, page.Inputs[i].RemindedAt = reminded(q.Notes)
	}
	return page, nil
}

// OpenWait is anything a run waits for: an event, an input, time.
type OpenWait struct {
	ID       string    `json:"id"`
	Path     string    `json:"path"`
	Kind     string    `json:"kind"` // event, any, all, input, approval, choice, text, form, in_doubt, sleep, call
	Name     string    `json:"name,omitempty"`
	Key      string    `json:"key,omitempty"` // event: for which it is to be published
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline,omitzero"`
	Assignee string    `json:"assignee,omitempty"`
	Events   []Awaited `json:"events,omitempty"` // any, all: by name

	Notes []WaitNote `json:"notes,omitempty"` // what happened to it since it was opened; the newest 50
}

// Awaited is one of the events of a wait for any or all.
type Awaited struct {
	Name    string `json:"name"`
	Key     string `json:"key,omitempty"` // for which it is to be published
	Arrived bool   `json:"arrived"`
}

// OpenWaits lists what a run waits for.
func (e *Engine) OpenWaits(ctx context.Context, id ID) ([]OpenWait, error) {
	rows, err := e.waitsOf(ctx, id, nil)
	if err != nil {
		return nil, fmt.Errorf("waits of run %s: %w", id, err)
	}
	return openWaits(rows), nil
}

// openWaits makes one entry of the rows of each wait.
func openWaits(rows []store.Wait) []OpenWait {
	list, parts := make([]OpenWait, 0, len(rows)), map[string]bool{}
	for _, w := range rows {
		if w.Kind == run.PartKind {
			parts[w.ID] = true
		}
	}
	for _, w := range rows {
		if w.Kind == run.PartKind {
			continue
		}
		var q question
		_ = json.Unmarshal(w.Detail, &q) // without notes if it is unreadable
		o := OpenWait{
			ID: w.ID, Path: w.Path, Kind: w.Kind, Name: w.Name, Opened: w.Opened, Deadline: w.Deadline,
			Assignee: w.Label, Notes: waitNotes(q.Notes),
		}
		_, o.Key, _ = readTopic(w.Topic)
		var several run.Several
		if o.Kind == "any" || o.Kind == "all" { // what cannot be read is not shown
			_ = json.Unmarshal(w.Detail, &several)
		}
		for i, t := range several.Topics {
			_, key, _ := readTopic(t.Topic)
			o.Events = append(o.Events, Awaited{Name: t.Name, Key: key, Arrived: !parts[run.PartID(w.ID, i)]})
		}
		list = append(list, o)
	}
	return list
}

// LogEntry is one captured log entry of a step.
type LogEntry struct {
	Path    string          `json:"path"`
	Attempt int             `json:"attempt"`
	At      time.Time       `json:"at"`
	Level   slog.Level      `json:"level"`
	Text    string          `json:"text"`
	Attrs   json.RawMessage `json:"attrs,omitempty"`
}

// Logs returns what the steps of a run logged since a time, oldest first,
// while they run too.
func (e *Engine) Logs(ctx context.Context, id ID, since time.Time) ([]LogEntry, error) {
	if _, err := e.store.Load(ctx, id, false); errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("logs of run %s: %w", id, err)
	}
	logs, err := e.store.Logs(ctx, id, since)
	if err != nil {
		return nil, fmt.Errorf("logs of run %s: %w", id, err)
	}
	list := make([]LogEntry, len(logs))
	for i, l := range logs {
		list[i] = LogEntry{l.Path, l.Attempt, l.At, slog.Level(l.Level), l.Text, l.Attrs}
	}
	return list, nil
}
