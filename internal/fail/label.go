package fail

// Label names a place in the code.
type Label string

// The labels: one constant and one line each, in the order of a run's life.
// Before and after are as seen by whoever calls.
const (
	OpenFile       Label = "open.file"       // the file exists, nothing is in it
	OpenLog        Label = "open.log"        // write-ahead logging is on, the schema is not there
	MigrateScript  Label = "migrate.script"  // in the transaction: one step's statements ran
	MigrateCommit  Label = "migrate.commit"  // all steps ran, not committed
	MigrateDone    Label = "migrate.done"    // committed
	StartBefore    Label = "start.before"    // an execution is about to be begun
	StartAfter     Label = "start.after"     // it is durable, its caller does not know
	ClaimBefore    Label = "claim.before"    // errors: a request that is lost
	ClaimTaken     Label = "claim.taken"     // in the transaction: executions have their new owner
	ClaimAfter     Label = "claim.after"     // errors: a reply that is lost
	Load           Label = "load"            // an execution is about to be read again
	Tried          Label = "tried"           // the beginning of a body is durable, its goroutine does not exist
	BodyBefore     Label = "body.before"     // on the body's goroutine, before user code
	BodyAfter      Label = "body.after"      // user code has returned, nothing is recorded
	DoBefore       Label = "do.before"       // the function of a Do has returned, nothing is recorded
	DoAfter        Label = "do.after"        // its result is durable, the body does not have it
	CommitBefore   Label = "commit.before"   // errors: a request that is lost
	CommitBetween  Label = "commit.between"  // in the transaction: one write of a batch is applied, the next is not
	CommitFlush    Label = "commit.flush"    // all writes are applied, not committed
	CommitAfter    Label = "commit.after"    // flushed, nobody knows; errors: a reply that is lost
	TxBefore       Label = "tx.before"       // user code has left its transaction, nothing is recorded in it
	TxFlush        Label = "tx.flush"        // in the transaction: the end of the step is recorded, not committed; errors: it is rolled back
	TxAfter        Label = "tx.after"        // user's rows and record are committed, nobody knows; errors: a reply that is lost
	Snapshot       Label = "snapshot"        // in the transaction: a snapshot is written
	WaitOpen       Label = "wait.open"       // in the transaction: waits are opened
	LogFlush       Label = "log.flush"       // in the transaction: log entries are written
	StreamFlush    Label = "stream.flush"    // in the transaction: chunks of streams are written
	Release        Label = "release"         // in the transaction: before an ownership ends
	Control        Label = "control"         // in the transaction: a change from outside the owner, its row written
	DeliverBetween Label = "deliver.between" // in the transaction: a message is written, its receiver not woken
	Wake           Label = "wake"            // a message is durable, this process's worker does not know
	RenewBefore    Label = "renew.before"    // errors: a request that is lost
	RenewAfter     Label = "renew.after"     // errors: a reply that is lost
	ExpireBefore   Label = "expire.before"   // before looking for leases that ran out
	DisownBetween  Label = "disown.between"  // in the transaction: a lease is gone, its executions have their owner
	StopBefore     Label = "stop.before"     // told to stop, nothing is handed over
	RetireBefore   Label = "retire.before"   // all is handed over, the lease is alive
	RetireAfter    Label = "retire.after"    // the lease is gone, Run has not returned
)

// Labels lists them all.
func Labels() []Label {
	return []Label{
		OpenFile, OpenLog, MigrateScript, MigrateCommit, MigrateDone,
		StartBefore, StartAfter, ClaimBefore, ClaimTaken, ClaimAfter, Load,
		Tried, BodyBefore, BodyAfter, DoBefore, DoAfter,
		CommitBefore, CommitBetween, CommitFlush, CommitAfter, TxBefore, TxFlush, TxAfter, Snapshot, WaitOpen, LogFlush, StreamFlush, Release, Control,
		DeliverBetween, Wake, RenewBefore, RenewAfter, ExpireBefore, DisownBetween,
		StopBefore, RetireBefore, RetireAfter,
	}
}
