package durable

import (
	"errors"
	"fmt"
	"time"
)

// Permanent says that err cannot be mended by trying again: the step is not
// retried, whatever its policy. It works at any depth of a wrapped error.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err, "permanent"}
}

// CrashLimit is Permanent, with the code crash_limit: something in the step was cut off too often by the end of its process, and is not
// tried again. A step with a compensation is undone then, in doubt, as after five crashes of its own.
func CrashLimit(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err, "crash_limit"}
}

type permanent struct {
	err  error
	code string
}

func (e *permanent) Error() string { return e.err.Error() }
func (e *permanent) Unwrap() error { return e.err }

// RetryAfter says that the next attempt, if the policy allows one, comes
// exactly d later: no jitter, no maximum. It uses an attempt.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfter{err, d}
}

type retryAfter struct {
	err   error
	after time.Duration
}

func (e *retryAfter) Error() string { return e.err.Error() }
func (e *retryAfter) Unwrap() error { return e.err }

// Snooze, returned from a step, says "come back after d". It is no failure and
// uses no attempt; the step holds no slot meanwhile.
func Snooze(d time.Duration) error { return &snooze{d} }

type snooze struct{ d time.Duration }

func (e *snooze) Error() string { return fmt.Sprintf("snoozed for %s", e.d) }

// CancelRun, returned from a step, cancels the whole run.
func CancelRun(reason string) error { return &cancelRun{reason} }

type cancelRun struct{ reason string }

func (e *cancelRun) Error() string { return "run cancelled: " + e.reason }

// Happened, returned from a Reconcile function, says that the step did happen;
// the changes that the function made to the state are its result.
var Happened error = &finding{"it happened"}

// DidNotHappen, returned from a Reconcile function, says that the step did not
// happen: its body runs once more.
var DidNotHappen error = &finding{"it did not happen"}

type finding struct{ text string }

func (e *finding) Error() string { return e.text }

// as is errors.As for one type.
func as[T error](err error) (T, bool) {
	var t T
	ok := errors.As(err, &t)
	return t, ok
}
