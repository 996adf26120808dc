package run

import (
	"errors"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Effects is all that a worker does to the world. The production shell runs
// them on goroutines, the simulator on its event heap. They must not block and
// must not call the worker back before they return.
type Effects interface {
	// Renew sends a renewal; the answer comes by Worker.Renewed.
	Renew(l store.Lease)
	// Claim sends a claim; the answer comes by Worker.Claimed.
	Claim(req store.ClaimRequest)
	// Expire releases what dead workers own; the answer comes by Worker.Expired.
	Expire()
	// Retire ends an incarnation.
	Retire(who store.Incarnation)
	// Load reads an execution again; the answer comes by Worker.Loaded.
	Load(id store.ID)
	// Commit hands a write to the committer; the answer comes by Worker.Committed.
	Commit(w store.Write, ref any)
	// Start begins user code; the answers come by Worker.Returned or
	// Worker.Answered, and its calls by Worker.Call.
	Start(v *Visit)
	// Stop ends a visit's context.
	Stop(v *Visit, cause error)
	// Reply answers a call of a visit.
	Reply(v *Visit, r CallReply)
	// Ended tells that an execution has ended or is blocked, durably. With the status compensating: it
	// may go back, so what was told of it before is not to be remembered; with an error: it goes back, and
	// waits for children that had not ended.
	Ended(id store.ID, status store.Status, state []byte, err *journal.Error)
	// Note reports something that an operator should see.
	Note(text string, id store.ID, err error)
	// Noticed tells of a notice at an open wait that is recorded now: a reminder,
	// or that it passed to somebody else.
	Noticed(id store.ID, path, call string, n journal.Note)
	// Streamed tells that streams of an execution have something new, durably.
	Streamed(id store.ID)
	// Draw gives a random number in [0, 1) for jitter.
	Draw() float64
	// NewIncarnation gives a new random identity.
	NewIncarnation() store.Incarnation
}

// Definition is a workflow version that this worker can run.
type Definition struct {
	Tree        *tree.Workflow
	Fingerprint string
}

// Causes with which contexts of bodies end.
var (
	// ErrSuspended: the body waits; it runs again when the wait is over.
	ErrSuspended = errors.New("the step is suspended in a wait")
	// ErrStopping: the worker is stopping and hands the run over.
	ErrStopping = errors.New("the worker is stopping")
	// ErrLeaseLost: the worker can no longer be sure to own the run.
	ErrLeaseLost = errors.New("the worker lost its lease")
	// ErrTaken: the run was cancelled or has another owner.
	ErrTaken = errors.New("the run was cancelled or taken over")
	// ErrNotPlanned: the run has gone on without this body.
	ErrNotPlanned = errors.New("the run no longer needs this step")
	// ErrStepTimeout: the step's own time is over.
	ErrStepTimeout = errors.New("the step timed out")
	// ErrGone: the call came from a body that is over.
	ErrGone = errors.New("the step is over")
)
