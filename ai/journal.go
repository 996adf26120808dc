package ai

import (
	"context"
	"encoding/json"
	"time"
)

// Journal is what package ai needs of a durable step. Inside a step of package durable there is
// one already; WithJournal puts another in its place. Without one, outside of steps, calls go straight through.
//
// All of it is called on the goroutine of the step's body, in the same order each time the body runs.
type Journal interface {
	// Info tells which step this is.
	Info() StepInfo
	// Do runs fn and records its result under a name and the count of that name, once: when the body runs
	// again, the recorded result is returned instead. An error of fn ends the call, and may be recorded for this attempt.
	// No method but Blob may be called in fn.
	Do(ctx context.Context, name string, fn func(context.Context) (json.RawMessage, error)) (json.RawMessage, error)
	// Sleep suspends for d, by name, and holds no slot.
	Sleep(ctx context.Context, name string, d time.Duration) error
	// Ask waits for a person's answer, which fits the question's schema.
	Ask(ctx context.Context, name string, q Question) (json.RawMessage, error)
	// Blob keeps a body under the hex SHA-256 of it, in the same write as the next record.
	Blob(ctx context.Context, body []byte) (hash string, err error)
	// ReadBlob returns what Blob kept.
	ReadBlob(ctx context.Context, hash string) ([]byte, error)
	// Scope gives calls with the context that it returns names of their own, so that they may be left out when what
	// they lead to is recorded. label is the name, numbered from the second scope of that name on.
	Scope(ctx context.Context, name string) (inner context.Context, label string)
	// Recorded says whether the next Do of a name has a result, so that its function will not be called.
	Recorded(ctx context.Context, name string) bool
}

// StepInfo is what a call knows of the step that makes it.
type StepInfo struct {
	Execution      string
	Workflow       string
	Path           string
	Attempt        int
	Epoch          int64 // grows whenever another gets hold of the run
	Failures       int   // attempts of this visit that ended by an error, a panic or a timeout
	Crashes        int   // attempts of this visit in which the process died; it bounds the tries of a call that kills it
	CanWait        bool  // a step that is AtMostOnce cannot
	IdempotencyKey string
}

// Question is what a person is asked.
type Question struct {
	Prompt  string
	Details any             // shown to who answers
	Schema  json.RawMessage // of the answer
	Timed   bool            // the wait ends after Timeout, with Default
	Timeout time.Duration
	Default json.RawMessage
}

type journalKey struct{}

// WithJournal makes calls with that context record in j.
func WithJournal(ctx context.Context, j Journal) context.Context {
	return context.WithValue(ctx, journalKey{}, j)
}
