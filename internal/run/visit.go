package run

import (
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Visit is one run of user code at one place: a body, or a question. The
// worker makes it, the shell runs it. Fields above the line do not change once
// the shell has it.
type Visit struct {
	Execution  store.ID
	Workflow   string
	Version    string
	Path       string
	Node       *tree.Node
	Mode       plan.Mode
	Question   *plan.Question // not nil: ask instead of running the body
	State      []byte         // raw JSON before
	Generation string         // tells visits of this path apart; "" for the first
	Undoes     *journal.Undo  // Mode Undo: what is undone
	Attempt    int
	Failures   int
	Crashes    int
	Epoch      int64
	Priority   int
	Parent     store.ID // of the execution; zero at the root
	Depth      int      // of the execution below its root
	Tags       []string // of the execution
	RunQueue   string   // of the execution
	Queue      string
	Calls      map[string]*journal.Call // what is recorded
	Handle     any                      // the shell's own

	Keeps []Blob // set by the shell before it tells how the body ended: kept if it is done
	Ends  []End  // the same, of streams

	// ---- the worker's own
	run     *run
	asking  *CallRequest // a call whose reply is outstanding
	suspend *CallRequest // told to suspend on this wait
	cause   error        // why the worker asked the shell to stop it
	pledged bool         // it is about to take from limits over all workers
	begun   bool         // the shell has it
	over    bool         // its goroutine is over
	looked  int          // the last of its run's looks that found it planned

	timedOut bool // the step's own timeout has ended its context
	left     bool // the run went on without it, and has recorded how it ended
}

// CallRequest is a durable call that has no record yet.
type CallRequest struct {
	Key  string
	Data []byte         // a result to record
	Err  *journal.Error // an error to record
	Wait *journal.Wait  // not nil: a wait. Deadline and ID are filled by the worker
	For  time.Duration  // a wait: how long, if Timed
	At   time.Time      // a wait: until when, if Timed and not zero
	// Timed says that the wait has a deadline.
	Timed bool
	// Child is an execution that begins with the record of the call.
	Child *store.Begin
	// Undo says that Data tells of a child that has completed and has something to undo.
	Undo bool
	// Blobs are kept with the record of the call, at the latest.
	Blobs []Blob
	// Ends are of streams that end with the record of the call.
	Ends []End

	derived bool // a node's wait, not a body's
	// Tx says that this is no call: the body wants to open a transaction. Nothing
	// is recorded of it.
	Tx bool

	refused []int64 // messages that came early and do not fit
}

// Blob is what is kept of an execution under the hex SHA-256 of its content. An empty
// hash means that nobody will keep the same again.
type Blob struct {
	Hash string
	Body []byte
}

// CallReply answers a call.
type CallReply struct {
	Call    *journal.Call // the record, durable
	Suspend bool          // end the goroutine; the body runs again when the wait is over
	Err     error         // the call cannot be made: ErrGone
}

// Answered is the end of a question.
type Answered struct {
	Answer *journal.Answer // branch, loop, the list of an Each, a wait that is not wanted
	Items  []byte          // the list of an Each
	Parts  [][]byte        // the list of a spread Each, in pieces
	Begins []store.Begin   // items of a spread Each that are to begin
	None   bool            // there is none: the asking was ended
	Wait   *CallRequest    // a wait that is to be opened
	Ending *plan.Ending    // in doubt: what a person decided
	Block  string          // the stored state does not fit this code
	Err    *journal.Error  // the user's function panicked, or the answer makes no sense
}
