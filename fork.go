package durable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Origin says from where a run goes on that was forked.
type Origin struct {
	Run  ID     `json:"run"`
	Path string `json:"path,omitempty"` // of the step with which it began; "": it began anew
}

// Fork begins a run that goes on from a step of another one: what that run did before it came to the step for the last
// time is done in the new one, too, and nothing of it is repeated; the step and all after it run anew. The other run may have
// ended or not, and stays as it is. With an empty path the new run begins from the beginning, with the same input. Edit
// changes the state with which it goes on, or the input.
//
// Path is a step, a node that waits, or a node with others in it, as StepRecord.Path has them; of what is in
// a loop that pass of it. The run is of the same workflow: of the version of the other one, if InVersion does
// not name one; it is that code which goes on. Tags, priority and queue are those of the other run unless
// options say otherwise. Key makes it happen once for that run and path, whatever Edit does. Blobs are there in the new run, too; its messages, logs, streams, budgets and time limit are
// its own, and it has no parent.
//
// A fork from where it would do or undo something a second time is refused with ErrNotForkable: inside of lanes and
// items (fork from the Parallel or Each), behind a step with a compensation, behind a cancel. Runs that were spawned before belong
// to the other run: Await of them fails. Other errors: ErrInvalid for a path at which nothing has begun, or that the code has
// not; ErrNotFound, ErrTooLarge (more than 64 MiB of blobs of that run, or 16 MiB of records before the step), ErrKeyConflict, ErrUnknownWorkflow,
// ErrUnknown: with a Key it is safe to fork again, also if the other run has changed meanwhile.
func (e *Engine) Fork(ctx context.Context, id ID, path string, opts ...StartOption) (ID, error) {
	forked, err := e.fork(ctx, id, path, opts)
	if err != nil {
		return ID{}, fmt.Errorf("fork run %s: %w", id, err)
	}
	return forked, nil
}

// InVersion makes a fork a run of that version of its workflow.
func InVersion(version string) StartOption {
	return func(o *startOptions) {
		o.use("InVersion", forFork)
		o.version = &version
	}
}

// Edit changes the state with which a fork goes on, or the input if it begins from the beginning. S is the state of
// the workflow, or json.RawMessage. fn may be called more than once. Its error ends the fork.
func Edit[S any](fn func(s *S) error) StartOption {
	return func(o *startOptions) {
		if o.use("Edit", forFork); fn == nil {
			o.edit = &edit{reflect.TypeFor[S](), func([]byte, int) ([]byte, error) { return nil, fmt.Errorf("%w: its function is nil", ErrInvalid) }}
			return
		}
		o.edit = &edit{reflect.TypeFor[S](), func(raw []byte, limit int) ([]byte, error) {
			var s S
			if err := decode(raw, &s, shapeOf(reflect.TypeFor[S]()).plain); err != nil {
				return nil, fmt.Errorf("%w: it is no %T: %w", ErrInvalid, s, err)
			}
			if err := fn(&s); err != nil {
				return nil, err
			}
			return encode(&s, limit)
		}}
	}
}

type edit struct {
	typ reflect.Type
	fn  func(raw []byte, limit int) ([]byte, error)
}

// What a fork takes along at most, in bytes.
const (
	maxForkBlobs = 64 << 20
	maxForkRow   = 16 << 20
)

func (e *Engine) fork(ctx context.Context, id ID, path string, opts []StartOption) (ID, error) {
	o := startOptions{priority: unranked}
	for _, opt := range opts {
		opt(&o)
	}
	if err := errors.Join(append(e.startMistakes(&o), o.only(forFork))...); err != nil {
		return ID{}, err
	}
	if forked, is, err := e.forkedBefore(ctx, o.key, id, path); err != nil || is {
		return forked, err
	}
	rec, err := e.store.Load(ctx, id, true)
	if err != nil {
		return ID{}, err
	}
	facts, h, err := history(ctx, &rec, path)
	if err != nil {
		return ID{}, err
	}
	b, d, err := e.forking(&o, &rec, h, path)
	if err != nil {
		return ID{}, err
	}
	state, err := e.edited(&o, d, h.State)
	if err != nil {
		return ID{}, err
	}
	limit := time.Duration(h.Limit) * time.Microsecond
	if d != nil {
		limit = d.tree.Timeout
	}
	input, mark := h.Input, journal.Fact{Kind: journal.Forked, Call: id.String(), Topic: path, At: time.Now().UnixMicro()}
	switch {
	case path == "":
		input = state
	case o.edit != nil:
		mark.Data = state
	}
	if err := run.Fork(&b, limit, input, facts, h, mark); err != nil {
		return ID{}, err
	}
	if len(b.Row) > maxForkRow {
		return ID{}, fmt.Errorf("%w: what it did before %s has %d bytes, the limit is %d", ErrTooLarge, path, len(b.Row), maxForkRow)
	}
	if b.Key != "" {
		b.InputHash = canonicalHash(fmt.Appendf(nil, "[%q,%q]", id, path))
	}
	if len(facts) > 0 {
		if b.Blobs, err = e.bodies(ctx, id); err != nil {
			return ID{}, err
		}
	}
	v, err := e.runner.Do(ctx, store.Write{Begin: &b})
	if err != nil {
		return ID{}, err
	}
	e.runner.Poke(b.Queue)
	forked, _, err := started(&b, v)
	return forked, err
}

// forkedBefore finds the fork that a key was given to.
func (e *Engine) forkedBefore(ctx context.Context, key string, id ID, path string) (ID, bool, error) {
	if key == "" {
		return ID{}, false, nil
	}
	page, err := e.store.List(ctx, store.Filter{Key: key})
	if err != nil {
		return ID{}, false, err
	}
	for _, x := range page.Executions { // of several workflows
		rec, err := e.store.Load(ctx, x.ID, false)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return ID{}, false, err
		}
		if h, err := run.Replay(&rec); err == nil && h.Origin != nil && *h.Origin == (journal.Origin{Run: id.String(), Path: path}) {
			return x.ID, true, nil
		}
	}
	return ID{}, false, nil
}

// history is what a run did before it came to a path.
func history(ctx context.Context, rec *store.Record, path string) ([]journal.Fact, *journal.History, error) {
	if tree.IsItem(rec.Workflow) {
		return nil, nil, fmt.Errorf("%w: it is an item of an Each; fork run %s", ErrInvalid, rec.Parent)
	}
	rows, err := decoded(rec.Rows)
	if err != nil {
		return nil, nil, err
	}
	facts, h, err := journal.Fork(rows, path, ctx.Err)
	if err != nil && ctx.Err() == nil && !errors.Is(err, journal.ErrCorrupt) && !errors.Is(err, ErrNotForkable) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return facts, h, err
}

// forking checks the options of a fork and makes its write, but for the row. The definition is nil if this engine
// has none of that workflow: then others are to run it.
func (e *Engine) forking(o *startOptions, rec *store.Record, h *journal.History, path string) (store.Begin, *definition, error) {
	version := rec.Version
	if o.version != nil {
		version = *o.version
	}
	d := e.defs[[2]string{rec.Workflow, version}]
	if d == nil && e.first[rec.Workflow] != nil {
		return store.Begin{}, nil, fmt.Errorf("%w %q version %q: name one of this program with InVersion", ErrUnknownWorkflow, rec.Workflow, version)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if name, _, _ = strings.Cut(name, "["); d != nil && name != "" && tree.Index(tree.Siblings(d.tree, path), name) < 0 {
		return store.Begin{}, nil, fmt.Errorf("%w: version %q of %s has no %s in this program; fork from a node that it has", ErrInvalid, version, rec.Workflow, path)
	}
	if m := tree.TextMistake(version); version != "" && m != "" {
		return store.Begin{}, nil, fmt.Errorf("%w: the version: %s", ErrInvalid, m)
	}
	if !slices.ContainsFunc(o.options, func(x option) bool { return x.name == "Tags" }) {
		o.tags = rec.Tags
	}
	queue := o.queue
	if queue == "" {
		queue = h.Queue
	}
	if d != nil {
		o.queue = queue // this engine knows the queues of what it runs
	}
	slices.Sort(o.tags)
	o.tags = slices.Compact(o.tags)
	if err := errors.Join(e.startMistakes(o)...); err != nil { // with what is the other run's
		return store.Begin{}, nil, err
	}
	if o.priority == unranked {
		o.priority = rec.Priority
	}
	id, err := uuid.NewV7()
	return store.Begin{
		ID: id, Workflow: rec.Workflow, Version: version, Queue: queue, Priority: o.priority, Key: o.key, Tags: o.tags, Due: o.at,
	}, d, err
}

// edited is the state with which a fork goes on.
func (e *Engine) edited(o *startOptions, d *definition, state []byte) ([]byte, error) {
	if o.edit == nil {
		return state, nil
	}
	if raw := reflect.TypeFor[json.RawMessage](); d != nil && o.edit.typ != d.typ && o.edit.typ != raw {
		return nil, fmt.Errorf("%w: Edit changes a %s, and the state is a %s", ErrInvalid, o.edit.typ, d.typ)
	}
	out, err := o.edit.fn(state, e.cfg.MaxPayload)
	if err != nil {
		return nil, fmt.Errorf("the edited state: %w", err)
	}
	if d != nil {
		if err := decode(out, reflect.New(d.typ).Interface(), d.state.plain); err != nil {
			return nil, fmt.Errorf("the edited state: %w: it is no %s: %w", ErrInvalid, d.typ, err)
		}
	}
	return out, nil
}

// bodies are the blobs of a run.
func (e *Engine) bodies(ctx context.Context, id ID) (list [][]byte, err error) {
	hashes, err := e.store.Blobs(ctx, id)
	size := 0
	for _, hash := range hashes {
		body, err := e.store.Blob(ctx, id, hash)
		if err == nil {
			err = checkBlob(hash, body)
		}
		if err != nil {
			return nil, fmt.Errorf("blob %s: %w", hash, err)
		}
		if size += len(body); size > maxForkBlobs {
			return nil, fmt.Errorf("%w: its blobs have more than %d bytes", ErrTooLarge, maxForkBlobs)
		}
		list = append(list, body)
	}
	return list, err
}

// origin is from where a run goes on; nil: it was not forked.
func origin(h *journal.History) *Origin {
	if h.Origin == nil {
		return nil
	}
	id, _ := ParseID(h.Origin.Run)
	return &Origin{id, h.Origin.Path}
}
