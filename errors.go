package durable

import (
	"errors"
	"fmt"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Sentinels, to be tested with errors.Is.
var (
	// ErrNotFound: there is no such execution or wait.
	ErrNotFound = store.ErrNotFound
	// ErrRunDone: the execution has ended; nothing can be sent to it or changed.
	ErrRunDone = errors.New("the run has ended")
	// ErrCompensating: the execution is being rolled back; see Force.
	ErrCompensating = errors.New("the run is being rolled back")
	// ErrNotRetryable: only what could not be rolled back can be tried again.
	ErrNotRetryable = errors.New("the run is not compensation_failed")
	// ErrNotForkable: a run that went on from there would do or undo what another does.
	ErrNotForkable = journal.ErrTwice
	// ErrNotBlocked: the execution is not blocked, so nothing needs to be mended.
	ErrNotBlocked = errors.New("the run is not blocked")
	// ErrUnknownWorkflow: this engine has no such workflow or version.
	ErrUnknownWorkflow = errors.New("unknown workflow")
	// ErrUnknownQueue: the queue is not configured.
	ErrUnknownQueue = errors.New("unknown queue")
	// ErrResumed: the queue that was being drained was resumed.
	ErrResumed = errors.New("the queue was resumed")
	// ErrKeyConflict: the key was used by a run with another input.
	ErrKeyConflict = errors.New("the key is taken by a run with another input")
	// ErrInboxFull: the execution has too many messages that nobody took.
	ErrInboxFull = errors.New("the inbox is full")
	// ErrNoSuchWait: no such wait is open; it may have been answered or have timed out.
	ErrNoSuchWait = errors.New("no such wait is open")
	// ErrAmbiguous: several waits of that name are open; answer one by its id.
	ErrAmbiguous = errors.New("several such waits are open")
	// ErrInvalid: a value does not fit what it is for. The error names the fields.
	ErrInvalid = errors.New("the value does not fit")
	// ErrTooLarge: a payload is over the limit.
	ErrTooLarge = errors.New("the payload is too large")
	// ErrTimeout: a wait ended by its timeout and has no OnTimeout value.
	ErrTimeout = errors.New("the wait timed out")
	// ErrWaitCancelled: an operator ended the wait; see WaitCancelled.
	ErrWaitCancelled = errors.New("the wait was cancelled")
	// ErrPayload: the message that ended a wait does not fit the wait's type.
	ErrPayload = errors.New("the payload does not fit the type of the wait")
	// ErrNotInStep: a durable call was made outside a step, on another
	// goroutine, inside another call, or after the step's end.
	ErrNotInStep = errors.New("durable call outside the body of a step")
	// ErrBadTx: what was given is no open transaction on the engine's database, or
	// not of the type that its store takes.
	ErrBadTx = store.ErrBadTx
	// ErrNoTransactions: the engine's store has no transactions that users can share.
	ErrNoTransactions = store.ErrNoTransactions
	// ErrUnknown: a change was sent and nobody knows whether it was made. Ask
	// again with the same key or id, or look.
	ErrUnknown = run.ErrUnknown
	// ErrSuspended is the cause with which the context of a body ends when a
	// durable call suspends it. Deferred functions see it by context.Cause.
	ErrSuspended = run.ErrSuspended
	// ErrStopping is the cause when the worker stops and hands the run over.
	ErrStopping = run.ErrStopping
	// ErrLeaseLost is the cause when the worker may no longer own the run.
	ErrLeaseLost = run.ErrLeaseLost
	// ErrTaken is the cause when the run was cancelled or taken over.
	ErrTaken = run.ErrTaken
	// ErrStepTimeout is the cause when the step's Timeout is over.
	ErrStepTimeout = run.ErrStepTimeout
)

// DefinitionError holds every mistake found in workflows and configuration.
type DefinitionError struct {
	Mistakes []Mistake
}

// Mistake is one thing wrong, and where.
type Mistake struct {
	Where string // workflow and path: process_document: by_type[invoice]/validate
	Text  string
}

func (e *DefinitionError) Error() string {
	lines := make([]string, 0, len(e.Mistakes)+1)
	lines = append(lines, fmt.Sprintf("%d mistakes in the definition", len(e.Mistakes)))
	if len(e.Mistakes) == 1 {
		lines[0] = "a mistake in the definition"
	}
	for _, m := range e.Mistakes {
		lines = append(lines, "  "+m.Where+": "+m.Text)
	}
	return strings.Join(lines, "\n")
}

func (e *DefinitionError) add(where, text string) {
	e.Mistakes = append(e.Mistakes, Mistake{where, text})
}

func (e *DefinitionError) addTree(name string, list []tree.Mistake) {
	for _, m := range list {
		where := "workflow " + name
		if m.Path != "" {
			where += ": " + m.Path
		}
		e.add(where, m.Text)
	}
}

// RunError is how a run ended that did not complete.
type RunError struct {
	ID       ID
	Workflow string
	Status   Status
	Cause    *Failure // nil if nothing was recorded
}

func (e *RunError) Error() string {
	text := fmt.Sprintf("run %s of %s is %s", e.ID, e.Workflow, e.Status)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *RunError) Unwrap() error {
	if e.Cause == nil {
		return nil
	}
	return e.Cause
}

// Failure is a recorded error. The original error value is gone; its texts and
// code are kept.
type Failure struct {
	Code    string   `json:"code"` // error, panic, permanent, step_timeout, wait_timeout, wait_cancelled, crash_limit, encode, too_large, tx_timeout, branch, loop …
	Message string   `json:"message"`
	Path    string   `json:"path,omitempty"`
	Attempt int      `json:"attempt,omitempty"`
	Chain   []string `json:"chain,omitempty"` // texts of the wrapped errors, outermost first
	Stack   string   `json:"stack,omitempty"`
}

func (f *Failure) Error() string {
	if f.Path != "" {
		return f.Path + ": " + f.Message
	}
	return f.Message
}
