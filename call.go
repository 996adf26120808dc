package durable

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// body is what a step's context leads to.
type body struct {
	h      *run.Handle
	engine *Engine
	counts map[string]int
	before map[string]bool // keys of calls that are recorded from before, and to which the body has not come
	inside string          // the call whose function runs
	at     string          // the key of a Do whose function runs
	shelf  *shelf
	pens   pens
	logs   *capture

	choice *journal.Answer // a decision's

	tx       store.Tx // open
	dropped  bool     // there was one
	conflict bool     // it met another one: doing the body again may help
}

type bodyKey struct{}

func bodyOf(ctx context.Context) *body {
	b, _ := ctx.Value(bodyKey{}).(*body)
	return b
}

// enter checks that a durable call may be made here, and gives it its key.
func enter(ctx context.Context, kind, name string) (*body, string, error) {
	b := bodyOf(ctx)
	what := kind
	if name != "" {
		what += " " + strconv.Quote(name)
	}
	if b == nil {
		return nil, "", fmt.Errorf("%w: %s: the context is not that of a step; pass the ctx that the step was given", ErrNotInStep, what)
	}
	if err := b.h.Misuse(); err != nil {
		return nil, "", fmt.Errorf("%w: %s: %w", ErrNotInStep, what, err)
	}
	if b.inside != "" {
		return nil, "", fmt.Errorf("%w: %s: it stands inside the function of %s; calls do not nest", ErrNotInStep, what, b.inside)
	}
	if b.tx != nil || b.dropped {
		return nil, "", fmt.Errorf("%w: %s: Tx is the last durable thing that a step does", ErrNotInStep, what)
	}
	if name != "" {
		if m := tree.TextMistake(name); m != "" {
			return nil, "", fmt.Errorf("%s: the name is bad: %s", what, m)
		}
	}
	key, scope := kind+":"+name, scopeOf(ctx)
	b.counts[key+scope]++
	key += "#" + strconv.Itoa(b.counts[key+scope]) + scope
	delete(b.before, key)
	return b, key, nil
}

// stuck ends the body: the code cannot read what is recorded.
func (b *body) stuck(key string, err error) {
	b.h.GiveUp(fmt.Sprintf("the recorded result of %s at %s does not fit the type that this code expects: %v; deploy code that reads it", key, b.h.Path, err))
}

// Do runs fn and records its result, so that it is done once: when the body
// runs again after a wait, crash, retry or deploy, fn is not called and the
// recorded result is returned. Do returns only when the result is durable.
//
// An error of fn is recorded too and returned for the rest of this attempt; a
// retry of the step calls fn again. An error after the step's context has ended (a stop, a
// timeout, a cancel) is not: fn was cut off, and is called again if the body runs again. Recorded errors are *Failure values, also
// the first time: errors.Is for your own sentinels belongs inside fn. Permanent
// and RetryAfter survive.
//
// name and the count of calls with that name identify the call within the step.
func Do[T any](ctx context.Context, name string, fn func(ctx context.Context) (T, error)) (T, error) {
	var zero T
	b, key, err := enter(ctx, "do", name)
	if err != nil {
		return zero, err
	}
	if c := b.h.Calls[key]; c != nil {
		return doResult[T](b, key, c)
	}
	if err := context.Cause(ctx); err != nil {
		return zero, err
	}
	own := new(shelf)
	v, err := inside(context.WithValue(ctx, shelfKey{}, own), b, name, key, fn)
	own.close()
	req := &run.CallRequest{Key: key}
	if over := context.Cause(b.h.Context()); err != nil && over != nil {
		return zero, over // it was cut off, which is no failure of fn
	}
	if err != nil {
		req.Err = recordCall(err, b)
	} else if req.Data, err = encode(v, b.engine.cfg.MaxPayload); err != nil {
		return zero, &resultError{fmt.Errorf("the result of Do %q: %w", name, err)}
	}
	fail.Point(fail.DoBefore)
	c, err := b.call(req, own)
	if err != nil {
		return zero, callGone(ctx, err)
	}
	fail.Point(fail.DoAfter)
	return doResult[T](b, key, c)
}

// inside runs the function of a Do; no durable call may be made meanwhile.
func inside[T any](ctx context.Context, b *body, name, key string, fn func(ctx context.Context) (T, error)) (T, error) {
	b.inside, b.at = "Do "+strconv.Quote(name), key
	defer func() { b.inside, b.at = "", "" }()
	return fn(ctx)
}

func doResult[T any](b *body, key string, c *journal.Call) (T, error) {
	var v T
	if c.State == journal.Broken {
		return v, recordedError(c.Err)
	}
	if err := decode(c.Data, &v, false); err != nil {
		b.stuck(key, err)
	}
	return v, nil
}

// callGone is the error of a call whose body is over: the context says why.
func callGone(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// recordCall records the error of a Do's function, with what it says about
// retrying.
func recordCall(err error, b *body) *journal.Error {
	code := "error"
	if r, ok := asErr[*retryAfter](err); ok {
		code = "retry_after:" + r.after.String()
	}
	if p, ok := asErr[*permanent](err); ok {
		code = p.code
	}
	return record(err, code, b.h.Path, b.h.Attempt)
}

func recordedError(e *journal.Error) error {
	f := failure(e)
	f.Path = ""
	if f.Code == "permanent" || f.Code == "crash_limit" {
		return &permanent{f, f.Code}
	}
	if after, ok := cutPrefix(f.Code, "retry_after:"); ok {
		f.Code = "error"
		if d, err := time.ParseDuration(after); err == nil {
			return RetryAfter(f, d)
		}
	}
	return f
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return s, false
}

// StepInfo is what a step can know of itself.
type StepInfo struct {
	Execution      ID
	Workflow       string
	Version        string
	Path           string
	Attempt        int // from 1; counts crashes too
	Failures       int // attempts of this visit that ended by error, panic or timeout
	Crashes        int // attempts of this visit in which the process died
	Epoch          int64
	IdempotencyKey string // equal for every attempt of this visit, different for every other, and for every item of an All; in a compensation that of the step
	Compensates    string // in a compensation: the path of the step that is undone; else ""
	InDoubt        bool   // in a compensation: the step was cut off, and nobody knows how far it came
	AtMostOnce     bool   // the body may not begin twice, and so cannot wait
}

// Info tells a step about itself. Outside a step, ok is false.
func Info(ctx context.Context) (info StepInfo, ok bool) {
	b := bodyOf(ctx)
	if b == nil {
		return StepInfo{}, false
	}
	of, doubt := b.h.Path, false
	if u := b.h.Undoes; u != nil {
		of, doubt = u.Path, !u.Done
		info.Compensates = u.Path
	}
	visit := b.h.Execution.String() + "\x00" + of
	if b.h.Generation != "" {
		visit += "\x00" + b.h.Generation
	}
	if item, ok := ctx.Value(itemKey{}).(string); ok {
		visit += "\x00" + item
	}
	sum := sha256.Sum256([]byte(visit))
	return StepInfo{
		Execution: b.h.Execution, Workflow: b.h.Workflow, Version: b.h.Version, Path: b.h.Path,
		Attempt: b.h.Attempt, Failures: b.h.Failures, Crashes: b.h.Crashes, Epoch: b.h.Epoch,
		IdempotencyKey: hex.EncodeToString(sum[:16]), Compensates: info.Compensates, InDoubt: doubt,
		AtMostOnce: b.h.Node.AtMostOnce,
	}, true
}

// typeName names a type for people.
func typeName[T any]() string { return reflect.TypeFor[T]().String() }

var errNeverHere = errors.New("durable: a suspended call returned") // Goexit has ended the goroutine before
