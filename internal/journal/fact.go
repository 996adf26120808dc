// Package journal holds what happened to an execution: facts, their encoding,
// the patches by which steps change the state, and the fold that turns facts
// into a history. It is pure: it knows no clock, no store and no user code.
// Package plan reads histories, package run writes rows.
package journal

import "slices"

// Kind is what a fact says.
type Kind uint8

// The kinds of facts. Their numbers are part of the stored format: they never
// change and are never reused.
const (
	Began     Kind = 1  // the run began: Data is the input, Call is the run's own queue
	Tried     Kind = 2  // a body is about to begin: Attempt, Epoch
	Done      Kind = 3  // a body succeeded: Attempt, Data is the patch, nil for none
	Delayed   Kind = 4  // an attempt ended without a result: Why, Err, Until
	Failed    Kind = 5  // the visit ended for good: Attempt, Err
	Answered  Kind = 6  // a question was answered: Answer
	Called    Kind = 7  // a recorded call ended: Call, Data or Err
	Waited    Kind = 8  // a wait opened: Call, Wait
	Received  Kind = 9  // a message ended a wait: Call, Message, Data
	Fired     Kind = 10 // a deadline ended a wait: Call
	Handed    Kind = 11 // an owner reported that it stopped the body in order: Epoch
	Cleared   Kind = 12 // in doubt was resolved: it did not happen, the body may begin again
	Cancelled Kind = 13 // the run was cancelled: Err holds reason, Data who
	Expired   Kind = 22 // the run's own time is over: Err
	Scattered Kind = 23 // items of a spread Each have begun or ended: Data, Err
	Closed    Kind = 14 // a lane or item has ended, with Err if it failed; what is under it is no longer needed
	Revoked   Kind = 18 // an operator ended a wait: Call, Message, Err holds reason, Data who
	Altered   Kind = 19 // an open wait goes on, changed: Call, Note; Message and Until if its deadline has moved, else its first notice is due
	Turned    Kind = 15 // the run goes back, because of Err: nothing goes forward from here
	Halted    Kind = 16 // the rollback was stopped from outside: no further undo begins
	Revived   Kind = 17 // what could not be undone is tried again
	Recalled  Kind = 24 // the parent told the run to go back: Attempt is its order, Err; Undo: the run turns back because of it
	Recalling Kind = 25 // children of an undo were told to go back, or have answered: Attempt, Data, Err
	Forked    Kind = 26 // what stands before it was done by another run: Call is that one, Topic the path from which this one goes on, Data the state if it is another
	Gathered  Kind = 20 // a message came for a wait that needs others too: Call, Message, Topic, Data
)

// known tells whether this program knows facts of the kind.
func (k Kind) known() bool { return k.String() != "unknown" }

func (k Kind) String() string {
	switch k {
	case Began:
		return "began"
	case Tried:
		return "tried"
	case Done:
		return "done"
	case Delayed:
		return "delayed"
	case Failed:
		return "failed"
	case Answered:
		return "answered"
	case Called:
		return "called"
	case Waited:
		return "waited"
	case Received:
		return "received"
	case Fired:
		return "fired"
	case Handed:
		return "handed"
	case Cleared:
		return "cleared"
	case Expired:
		return "expired"
	case Cancelled:
		return "cancelled"
	case Scattered:
		return "scattered"
	case Closed:
		return "closed"
	case Revoked:
		return "revoked"
	case Altered:
		return "altered"
	case Turned:
		return "turned"
	case Halted:
		return "halted"
	case Revived:
		return "revived"
	case Gathered:
		return "gathered"
	case Recalled:
		return "recalled"
	case Recalling:
		return "recalling"
	case Forked:
		return "forked"
	}
	return "unknown"
}

// Why says why an attempt ended without a result.
type Why uint8

// The reasons. Their numbers are stored.
const (
	ByError  Why = 1 // an error, panic or timeout: it counts as a failure
	BySnooze Why = 2 // the body asked to come back later: it counts as nothing
	ByCrash  Why = 3 // its process died: it counts as a crash
	ByLoss   Why = 4 // nobody knows how it ended, and nobody is to blame: it counts as nothing
	ByAsking Why = 5 // the outside was asked what became of the body, and the asking failed
)

// Fact is one thing that happened. Which fields count depends on Kind.
type Fact struct {
	Kind    Kind
	Why     Why
	Derived bool   // it follows from what is recorded, by the plan or a question; not stored
	Undo    bool   // of Tried and Done: the step has a compensation; of Called and Received: the child has something to undo; of Failed and Turned: children that have not ended are undone, too; of Cancelled and Recalled: the run is to go back
	Path    string // the place; "" is the run itself
	At      int64  // microseconds since 1970, an estimate of the store's clock
	Attempt int    // from 1
	Call    string // kind:name#count of a durable call
	Data    []byte
	Err     *Error
	Until   int64 // microseconds since 1970; 0 = at once
	Epoch   int64
	Message int64  // inbox number
	Limit   int64  // Began: microseconds that the run may take, from its creation or Until; 0: no limit
	Topic   string // Gathered, and Received for a wait with Topics: which one
	Answer  *Answer
	Wait    *Wait
	Child   string // Called, Waited: the execution that begins with it
	Note    *Note

	Step *Transition // Done, in the process that ran the body; not stored
}

// Transition is a change of the state as its maker knows it: it spares the fold
// the work, if the state is still the very one that the change was made from.
type Transition struct {
	Before, After []byte
}

// InDoubtCall is the call key of the wait that asks a person what became of a
// body that was cut off.
const InDoubtCall = "input:in_doubt#1"

// Answer is what user code said to a question of the plan. It decides for ever.
type Answer struct {
	Way   Way    `json:"way"`
	Case  string `json:"case,omitempty"`  // WayCase: the key
	Pass  int    `json:"pass,omitempty"`  // loops: the pass that the answer is about
	Value string `json:"value,omitempty"` // branches: the value, as written, for people
	Items int    `json:"items,omitempty"` // WayItems: how many; the fact's Data is the list

	// WayItems: the items are executions of their own, and their list is in blobs.
	Spread bool   `json:"spread,omitempty"`
	Parts  []Part `json:"parts,omitempty"`

	// WayGoto: the nodes beside the target, Case, that are to run as new visits.
	Drop []string `json:"drop,omitempty"`
}

// Way is where an answer leads.
type Way uint8

// The ways. Their numbers are stored.
const (
	WayCase    Way = 1  // into the case with that key
	WayDefault Way = 2  // into the default
	WayNone    Way = 3  // no case fits and there is no default: past the branch
	WayAgain   Way = 4  // into pass Pass of the loop
	WayLeave   Way = 5  // the loop has ended after Pass passes
	WayLanes   Way = 6  // into all lanes
	WayItems   Way = 7  // into the items
	WayGoto    Way = 8  // to the node Case beside the decision
	WayNext    Way = 9  // past the decision
	WaySkip    Way = 10 // past the wait: it is not wanted
)

// Wait is an open wait.
type Wait struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Topic    string `json:"topic,omitempty"`    // messages with this topic end it
	Shared   bool   `json:"shared,omitempty"`   // Topic is one that is published to
	Deadline int64  `json:"deadline,omitempty"` // microseconds since 1970; 0 = none
	Default  []byte `json:"default,omitempty"`  // the value of a timeout, if HasDefault
	HasValue bool   `json:"has_default,omitempty"`
	Detail   []byte `json:"detail,omitempty"` // prompt, schema and so on, for people
	To       string `json:"to,omitempty"`     // who is to act on it

	Notices []Notice `json:"notices,omitempty"` // what is to happen while it is open, by time
	Notes   []Note   `json:"notes,omitempty"`   // what has happened to it while it was open

	Topics []Topic `json:"topics,omitempty"` // instead of Topic: several
	All    bool    `json:"all,omitempty"`    // it ends when each of Topics has come, else with the first
}

// Topic is one of several that a wait has.
type Topic struct {
	Name   string `json:"name"` // for people
	Topic  string `json:"topic"`
	Shared bool   `json:"shared,omitempty"`
}

// Missing is the places of those Topics of which nothing is among what has come.
func (w *Wait) Missing(got []Arrival) (list []int) {
	for i, t := range w.Topics {
		if !slices.ContainsFunc(got, func(a Arrival) bool { return a.Topic == t.Topic }) {
			list = append(list, i)
		}
	}
	return list
}

// Asks tells whether only the store can say if something is there for the wait
// already: it has a topic that is published to.
func (w *Wait) Asks() bool {
	return w.Shared || slices.ContainsFunc(w.Topics, func(t Topic) bool { return t.Shared })
}

// Error is a failure as it is kept.
type Error struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Path    string   `json:"path,omitempty"`
	Attempt int      `json:"attempt,omitempty"`
	Chain   []string `json:"chain,omitempty"` // texts of the wrapped errors, outermost first
	Stack   string   `json:"stack,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// Row is one journal row: what one write said.
type Row struct {
	Seq   int
	Epoch int64
	Facts []Fact
}
