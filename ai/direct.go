package ai

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// direct is the journal outside of steps: nothing is recorded, and nothing waits.
type direct struct{}

var errNoWaiting = errors.New("ai: there is nothing that could wait here")

func (direct) Info() StepInfo { return StepInfo{} }

func (direct) Do(ctx context.Context, _ string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return fn(ctx)
}

func (direct) Sleep(context.Context, string, time.Duration) error { return errNoWaiting }

func (direct) Ask(context.Context, string, Question) (json.RawMessage, error) {
	return nil, errNoWaiting
}

func (direct) Blob(_ context.Context, body []byte) (string, error) { return hashOf(body), nil }

func (direct) ReadBlob(context.Context, string) ([]byte, error) {
	return nil, errors.New("ai: nothing is kept outside of steps")
}

func (direct) Scope(ctx context.Context, name string) (context.Context, string) { return ctx, name }

func (direct) Recorded(context.Context, string) bool { return false }
