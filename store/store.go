// Package store is the contract between the engine and a database.
//
// A store keeps executions (one header row each), their journals (one row per
// write, opaque bytes), their inboxes (messages not yet taken), their open
// waits, logs, streams, blobs, named holds and counters, the leases of workers, and which queues
// are paused. It knows owners, epochs and lengths, and refuses every write whose precondition does
// not hold. It does not know steps, branches or retries: rows and payloads are
// bytes to it, and it wakes executions by comparing topics.
//
// Every change goes through Commit, Publish, Draw, Settle, Claim, Renew, Expire, Retire, Prune or
// SetPaused, each of them atomic. The store's clock decides what is due and what has expired; no
// caller passes the current time.
//
// Strings are UTF-8 without NUL; a store may refuse any others, and batches
// that are too large as a whole, with ErrRefused. Bytes may be anything. Text is
// compared and ordered byte by byte. Times are kept to the microsecond at least,
// never rounded down.
//
// A new store is one folder that passes package storetest.
package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// ID names an execution. The engine makes them as UUIDv7, so they sort by age.
type ID = uuid.UUID

// Incarnation names one start of one worker process. It is random, never
// reused, and the only identity a lease has; the zero value means "nobody".
type Incarnation = uuid.UUID

// Opener opens a store when an engine opens. Drivers return one, so that
// durable.Open is the only place where errors of opening appear.
type Opener interface {
	OpenStore(ctx context.Context) (Store, error)
}

// Store is what a database must do. All methods may be called concurrently.
//
// An error from Commit, Claim or Renew means that the outcome is unknown: the
// change may have been made. Callers resolve this by asking again (Commit is
// idempotent, see Write) or by reading; they never guess. An error that wraps
// ErrRefused is the exception: nothing was changed and asking again will not
// help.
type Store interface {
	// Commit applies the writes, in order, in one transaction and one flush.
	// Each write has its own precondition and its own verdict, in the same
	// order; a write that is refused by its verdict leaves no trace and does
	// not disturb its neighbours. Commit returns only after the transaction is
	// durable. At most one write per execution may be in a batch, except for
	// Deliver, of which there may be many; ErrRefused if there are more. An
	// empty batch only tells the time.
	Commit(ctx context.Context, writes []Write) (Result, error)

	// Publish gives a message to whoever waits for its topic, or keeps it for the first
	// that will, in one transaction: see Publication. ErrRefused for a malformed
	// one. After any other error it is unknown whether it happened; asking again is harmless.
	Publish(ctx context.Context, p Publication) (Published, error)

	// Draw takes amounts from counters: see Drawing. ErrRefused for a malformed one. After any
	// other error it is unknown whether it happened; asking again with the same ID is
	// harmless. The cost grows with what counts of these counters and is not settled, not with others.
	Draw(ctx context.Context, d Drawing) (Drawn, error)

	// Settle says what amounts have turned out to be: see Settling. ErrRefused for a malformed
	// one; after any other error asking again is harmless.
	Settle(ctx context.Context, s Settling) error

	// Count returns what counts of a counter, nothing of one that nobody has drawn from.
	Count(ctx context.Context, c Counter) (Count, error)

	// Claim takes due executions for a worker: status pending, waiting or
	// compensating with Due at or before the store's now, no owner, in one of
	// the asked queues, of one of the asked definitions; at most Limit per
	// queue; order within a queue by priority (highest first), then Due, then
	// ID. Each gets the owner, epoch+1 and status running, or stays
	// compensating. It also takes blocked executions of an asked definition
	// whose Blocked list does not have the asked fingerprint: after the due
	// ones of their queue, by priority, then ID, within the same limit.
	// What another call is changing at this very moment may be passed over; a
	// later claim finds it. A paused queue is looked at as if its limit were 0.
	// If the worker's lease is not alive, nothing is claimed and the error is
	// ErrLeaseLost. The cost does not grow with executions that are ended or
	// not yet due.
	Claim(ctx context.Context, req ClaimRequest) (Claimed, error)

	// Load reads one execution: header, newest snapshot, the rows after it,
	// and all untaken messages, as one consistent state. With whole, it reads
	// all rows and no snapshot. ErrNotFound if there is none.
	Load(ctx context.Context, id ID, whole bool) (Record, error)

	// Renew sets a lease to end at now+Duration, or creates it when New is set
	// (creating it again is harmless while it is alive). A lease that has
	// expired or was taken over can never be renewed: ErrLeaseLost. A store
	// need not remember the incarnations of deleted leases, so nobody may set
	// New again for one.
	Renew(ctx context.Context, lease Lease) (Renewal, error)

	// Expire releases what expired incarnations own: their lease rows are
	// deleted and, in the same transaction, each execution of theirs gets no
	// owner, epoch+1, status pending (compensating stays), Due now, no holds,
	// and Stalls counted: plus one if Length is what it was when the previous
	// expiry was counted, else one.
	// It returns how many executions were released. After it returns, nothing
	// that an expired incarnation writes is accepted.
	Expire(ctx context.Context) (int, error)

	// Retire ends a lease at once, for a worker that has handed over its runs.
	// What it still owns is released as by Expire, but Stalls is not counted.
	// Retiring an unknown lease is not an error.
	Retire(ctx context.Context, who Incarnation) error

	// List returns headers by filter, newest first (ID descending).
	List(ctx context.Context, f Filter) (Page, error)

	// Waits returns open waits by filter: earliest Deadline first (none is
	// last), then oldest, then by ID.
	Waits(ctx context.Context, f WaitFilter) (WaitPage, error)

	// Logs returns the log entries of one execution in the order (At, Path,
	// Attempt, N), those with At ≥ since only.
	Logs(ctx context.Context, id ID, since time.Time) ([]Log, error)

	// Blob returns a blob of an execution by its hash, or ErrNotFound.
	Blob(ctx context.Context, id ID, hash string) ([]byte, error)

	// Blobs returns the hashes of all blobs of an execution, ascending. ErrNotFound if there is no
	// such execution.
	Blobs(ctx context.Context, id ID) ([]string, error)

	// Stream returns chunks of a stream of an execution, and where both stand: see Chunk.
	// ErrNotFound if there is no such execution; a stream that has not begun has no chunks.
	Stream(ctx context.Context, req StreamRequest) (StreamView, error)

	// Streams returns the newest chunk of each stream of an execution, by name and
	// without their texts.
	Streams(ctx context.Context, id ID) ([]Chunk, error)

	// SetPaused says that a queue is paused, or no longer is, and who says so.
	// It is kept until it is undone. Claims take nothing from a paused queue;
	// whoever owns executions is told by Renew and Claim, and sees himself to it
	// that nothing begins there. Pausing a paused queue changes nothing: when and
	// by whom stay. So calling it again after an unknown outcome is harmless.
	SetPaused(ctx context.Context, queue, by string, paused bool) error

	// Survey returns what workers share, as one consistent state.
	Survey(ctx context.Context) (Survey, error)

	// Prune removes executions that have ended, and everything that belongs to
	// them: journal, snapshot, messages and their dedupe names, logs, streams, blobs,
	// holds, and the key, which may be used again. Beside, it removes some publications whose
	// time is over. It takes those that match the
	// request, in no promised order, at most Limit of them, in one transaction; one
	// that another call is changing at this very moment may be passed over. It
	// never removes one that has not ended. Families go whole: see PruneRequest. To every call a removed execution is
	// like one that never was: ErrNotFound, NotFound, Superseded; lists, counts
	// and the keys of Begin agree. When its bytes leave the disk is the store's affair.
	// ErrRefused for a status that is not an ended one, and for a negative age.
	// After any other error it is unknown what was removed; asking again is
	// harmless. The cost does not grow with executions that do not match, and claims
	// do not wait for it.
	Prune(ctx context.Context, req PruneRequest) (Pruned, error)

	// Watch returns a channel that receives, coalesced, soon after somebody
	// else (another connection, process or engine) may have changed something.
	// It is a hint: it may come without a change and may be lost. It need not
	// come for what concerns nobody but an execution's owner: a claim, or an
	// Advance that has no Release and sets no Hold to 0. The channel is closed when ctx ends. A nil
	// channel means that the store has no hints.
	Watch(ctx context.Context) <-chan struct{}

	// Close releases everything. Calls after Close fail.
	Close() error
}

// Write is one atomic, fenced change of one execution. Exactly one field is
// set.
//
// A store that cannot judge a write now, because another transaction holds its
// execution, may answer Busy instead of waiting: one slow stranger must not hold
// up a batch.
//
// Every write is idempotent: committing it again after an unknown outcome has
// the effect of once, and the verdict is then Landed instead of Applied. An
// Advance or Control without a Row leaves nothing to know it by: it is judged
// anew, and doing it twice is harmless.
//
// ErrRefused fails the whole batch if a write is malformed (not one field set,
// an empty Row in Begin, no Dedupe, no valid status, a space in Blocked, two
// Holds of one Name, a token without a Row or an Amount, and what family.go
// forbids), if Legal forbids its change of status, if it would leave an execution waiting without an open
// wait, or if it opens a wait whose ID is open already.
type Write struct {
	Begin   *Begin
	Advance *Advance
	Deliver *Deliver
	Control *Control
}

// Begin creates an execution with its first journal row (seq 1). Verdicts, the
// first that fits: Landed if the ID exists; Exists if the Key is taken;
// Superseded (see Owner); Applied.
type Begin struct {
	ID        ID
	Workflow  string
	Version   string
	Queue     string
	Priority  int    // -1000…1000, higher goes first
	Key       string // unique within Workflow when not empty, until the execution is pruned
	InputHash []byte // compared when Key is taken
	Tags      []string
	Due       time.Time // zero: now by the store's clock
	Row       []byte    // journal row 1
	Snapshot  []byte    // as in Advance: it holds row 1. Neither this nor Blobs is for children, or in a caller's transaction
	Blobs     [][]byte  // as in Advance

	// Parent is the execution whose Advance has this Begin among its Children;
	// zero, and so are the next two, in a write of its own.
	Parent   ID
	Detached bool // what ends the parent does not reach it, see Release.Family
	Depth    int  // kept as it is: how many are above it, as the engine counts

	// Owner, when not zero, begins the execution as owned with epoch 1 and
	// status running: an eager start. If that incarnation has no live lease,
	// nothing is written and the verdict is Superseded. Otherwise the
	// execution begins as pending with epoch 0.
	Owner Incarnation
}

// Advance appends to an execution's journal, by its owner only.
//
// It is applied only if the execution has this Owner and Epoch and exactly
// Base journal rows, else the verdict is Superseded. If instead row Base+1
// exists, was written with this Epoch and is this Row, the verdict is Landed.
// (Another Row may be one that was refused, and then arrived a second time when
// it was not refused any more.) With a nil Row, nothing is appended and the
// length stays; then only Logs, Chunks, Blobs and Holds may be set, and Landed is never
// the verdict.
//
// Further conditions are looked at in this order: Seen, NotBefore, Holds. That
// the owner's lease is still alive is not one of them: a lease that has run
// out counts until Expire or Retire acts on it.
type Advance struct {
	ID    ID
	Owner Incarnation
	Epoch int64
	Base  int
	Row   []byte

	// Seen, when not negative, is the number of messages ever accepted that
	// the writer knows of. If more have been accepted: verdict Unseen. A write
	// with a Release or NotBefore is strictly before or after every message; any
	// other may overlook one that is accepted at the same moment.
	Seen int64
	// NotBefore, when not zero, refuses the write with verdict Early while the
	// store's clock is before it. It guards what fires a timer.
	NotBefore time.Time

	Took []int64 // messages that this row consumes: they are deleted
	// Open is the waits that this row opens. If a publication is kept for the topic of
	// a Shared one, the wait is not opened: the oldest is put into the inbox,
	// addressed to the wait, and nobody else gets it. A Release to waiting then is
	// one to pending with Due now, one to compensating has Due now, and Verdict.Inbox has counted
	// the message. With a Release that ends the execution nothing is taken.
	Open []Wait
	Shut []string // ids of waits that this row closes; absent ones are ignored
	// Alter has waits of this execution that go on with another Deadline, Label and
	// Detail; all else stays as it was opened. Each is named once. It comes after Shut
	// and Open; those that are not open are ignored.
	Alter    []Wait
	Release  *Release  // nil: the owner keeps the execution
	Snapshot []byte    // replaces the snapshot; it holds all rows up to Base+1
	Logs     []Log     // appended; an entry already there is ignored
	Chunks   []Chunk   // of streams; those of one stream ascend
	Blobs    [][]byte  // kept under the hex SHA-256 of their content
	Children []Begin   // executions that begin with this row, see family.go
	Tell     []Deliver // messages to children, see family.go
	Recall   []Deliver // orders to children to go back, see family.go
	Holds    []Hold    // all or nothing: if one does not fit, verdict Full
}

// Release ends an ownership: the execution is parked or has ended. An ended
// status closes all waits, messages stay. The owner becomes nobody; the epoch
// stays (the next claim raises it). Waits are shut and opened before it: it is
// refused if it would leave the execution waiting without an open wait.
type Release struct {
	Status    Status
	Queue     string    // where the next body runs; "" leaves it
	Due       time.Time // pending, compensating: zero is now. waiting: zero is "until a message". ended, blocked: ignored
	ErrorCode string    // ended or blocked: why, for filters
	Error     []byte    // ended or blocked: why, as the engine wrote it
	Blocked   string    // blocked: fingerprint of the code that could not go on, without spaces; see Execution.Blocked
	Report    []byte    // ended: told to the parent, see family.go; empty: nothing is
	Topic     string    // of the Report, if it is not ChildTopic
	Dedupe    string    // of the Report, if it is not ChildTopic
	Family    *Notice   // ended: told to the children, see family.go; nil: nothing is
}

// Deliver puts a message into an execution's inbox. Verdicts, the first that
// fits: NotFound; Landed if Dedupe was used before in this execution; Ended
// with Status; NoSuchWait; Full when Max untaken messages are there; Applied.
//
// If the execution is waiting and one of its open waits has this Topic, or
// Wait names one, it becomes pending with Due now in the same transaction. If it
// is compensating and nobody owns it, Due becomes now, whatever the message; so
// does that of a parent that is told of an end.
type Deliver struct {
	ID      ID
	Topic   string
	Payload []byte
	Dedupe  string // required; unique per execution until it is pruned
	Wait    string // when set: this wait must be open, and is closed by this write
	Keep    bool   // with Wait: it must be open, and stays so
	Max     int    // 0: no limit; what parents and children tell does not count
}

// Control changes an execution from outside its owner and thereby ends any
// ownership: epoch+1, no owner. Verdicts, the first that fits: NotFound; Landed
// if the execution's last row is this Row; Ended with Status if the status is
// not in From; Superseded if Owner is set and does not own it, or if the epoch is
// not before Before; Applied.
type Control struct {
	ID     ID
	From   []Status    // legal current statuses
	Owner  Incarnation // when set: only if owned by it
	Before int64       // when not zero: only while the epoch is below it. Epochs only grow: with one more than was seen, only if none has begun since
	Row    []byte      // appended at the current length+1 under the new epoch; nil: no row
	Release
}

// Hold is an amount taken from a named, shared limit by one execution: a loan,
// or with a Window a token. Loans and tokens of one name do not see each other.
//
// A loan counts until it is set to 0 (which always fits), Until passes, or the
// execution is released or ends, by whomever. Setting it again replaces the
// amount.
//
// A token counts for its Window from the moment at which it is taken by the
// store's clock, whatever becomes of the execution. It is never given back, and
// taking again adds to it. So no span of time shorter than the Window sees more
// than Limit taken. A write that is applied once takes it once, however often
// it is committed.
type Hold struct {
	Name   string
	Amount int64
	Limit  int64     // refused if the sum of what counts of that name would exceed it
	Until  time.Time // of a loan: required
	Window time.Duration
}

// Verdict is what became of one write.
type Verdict struct {
	Code   Code
	ID     ID     // Exists: the execution that has the key
	Same   bool   // Exists: its InputHash is equal
	Status Status // Ended: the status it has
	Inbox  int64  // Unseen, Applied and Landed of an Advance: messages ever accepted
	// At is, for the Full of a token, the time at which so many would fit if
	// nobody takes more meanwhile; zero if never, and for everything else. If
	// several Holds do not fit, the first in the order of the write counts.
	At time.Time
}

// Code is the kind of a verdict.
type Code uint8

// The verdicts.
const (
	Applied    Code = iota + 1 // written
	Landed                     // had been written before; the same as Applied to the caller
	Superseded                 // not the owner (any more), or the base is out of date
	Unseen                     // a message arrived that the writer does not know
	Early                      // the store's clock is before NotBefore
	Full                       // a hold or an inbox has no room
	Exists                     // the key is taken
	NotFound                   // no such execution
	Ended                      // the status does not allow it
	NoSuchWait                 // that wait is not open
	Busy                       // somebody else is changing the execution at this moment; nothing was written, ask again
)

// Result answers a Commit.
type Result struct {
	Now      time.Time // store's clock within the transaction
	Verdicts []Verdict
}

// Definition is a workflow version that a worker can run.
type Definition struct {
	Workflow    string
	Version     string
	Fingerprint string
}

// ClaimRequest asks for due executions.
type ClaimRequest struct {
	Owner       Incarnation
	Definitions []Definition
	Queues      map[string]int // limit per queue; queues with 0 are only asked for NextDue
	// Needs says, by queue, what each execution taken from it is going to take
	// when it begins: no more are taken than there is room for, counted as an
	// Advance counts. The claim takes no Hold itself, so others may be faster:
	// what decides is the write that takes it. Until does not matter here.
	Needs map[string][]Hold
}

// Claimed answers a claim.
type Claimed struct {
	Now     time.Time
	Records []Record
	// NextDue is the earliest Due after Now among the asked queues, whatever
	// the definition; zero if there is none. Where Needs allowed less than a
	// queue's limit because of a token, and so many were taken, it is not after the
	// time at which one more would fit, if all that were taken took theirs now.
	NextDue time.Time
	// More has a queue if executions that this request may claim were left in
	// it because of its limit. Others may be claiming them already. Queues with
	// limit 0 are never in it, nor those where Needs allowed less than the limit.
	More   map[string]bool
	Paused []Pause // by name
}

// Record is an execution as loaded.
type Record struct {
	Execution
	Snapshot    []byte // nil: none
	SnapshotSeq int    // rows up to here are in the snapshot
	Rows        []Row  // dense and ascending, those after SnapshotSeq
	Messages    []Message
	Now         time.Time
}

// Row is one journal row.
type Row struct {
	Seq   int
	Epoch int64
	At    time.Time // store's clock when written
	Body  []byte
}

// Message is an untaken inbox message.
type Message struct {
	Seq     int64 // from 1, dense over all messages ever accepted
	Topic   string
	Payload []byte
	Wait    string // the wait it was addressed to, if any; with a Topic too if it was published
	At      time.Time
}

// Execution is a header row.
type Execution struct {
	ID       ID
	Workflow string
	Version  string
	Queue    string
	Key      string
	Priority int
	Tags     []string
	Status   Status
	Due      time.Time // zero: not due until something happens; means nothing while owned
	Created  time.Time
	Changed  time.Time // last claim, release, control
	Ended    time.Time
	Owner    Incarnation
	Epoch    int64
	Length   int   // journal rows
	Inbox    int64 // messages ever accepted
	Parent   ID    // as in Begin, and so the next two
	Detached bool
	Depth    int
	Stalls   int // expiries in a row without a new row; 0 if rows came since
	// ErrorCode and Error are those of the Release or Control that ended or
	// blocked it; empty in every other status.
	ErrorCode string
	Error     []byte
	// Blocked has the fingerprints of all code that could not go on with it, as
	// AddBlocked gathers them. A claim keeps the list, so that two kinds of code
	// that both cannot go on do not take it from each other for ever; every
	// other way of being let go empties it.
	Blocked []string
}
