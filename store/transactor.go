package store

import (
	"context"
	"time"
)

// Transactor is a Store whose database has transactions that users can share.
// A store need not be one.
//
// A user's transaction is what the database's Go driver calls one: the store
// says which types it takes, and refuses every other value with ErrBadTx.
type Transactor interface {
	// CommitIn applies writes in a transaction that the caller has open, and will
	// commit or roll back itself: they exist exactly if it commits, and soon
	// after that others get a hint. Only Begin without an Owner and Deliver are allowed, else
	// ErrRefused. Verdicts are those of Commit, as the transaction sees the
	// database; a write whose verdict is not Applied leaves no trace in it.
	//
	// An error means that nothing was written. Only after one that wraps ErrBadTx
	// or ErrRefused is the caller's transaction certain to be as it was; after another
	// the caller should roll back. Result.Now may be later than what the rows say.
	//
	// What is written stays locked until the caller's transaction ends: whoever
	// else changes those executions waits for it.
	CommitIn(ctx context.Context, tx any, writes []Write) (Result, error)

	// WaitsIn returns the status and the open waits of one execution, as the
	// caller's transaction sees them. ErrNotFound if there is none.
	WaitsIn(ctx context.Context, tx any, id ID) (Status, []Wait, error)

	// Begin opens a transaction for user code. When ctx ends or limit has
	// passed since it began, and Commit has not been called, it is rolled back at once,
	// whatever user code does with it at that moment. limit does not count the time
	// that it takes to get there. An error means that there is no transaction.
	Begin(ctx context.Context, limit time.Duration) (Tx, error)
}

// Tx is a transaction for user code that ends with one Advance of the engine.
// What user code wrote in it and the Advance become durable together, or
// neither does.
//
// Commit and Rollback are called after user code has returned; a second call of
// either does nothing.
type Tx interface {
	// User is what user code works with. It cannot commit or roll back, as far
	// as the driver can be kept from it.
	User() any

	// Commit judges and applies the Advance in the transaction, after everything
	// that user code did, and commits. With another verdict than Applied all is rolled back.
	//
	// An error that wraps ErrRolledBack means that nothing was changed, for
	// certain; it may also wrap ErrConflict, ErrTrouble, ErrRefused, ErrTxTimeout, ErrTxEnded, or
	// the cause with which the context of Begin ended. After any other error the outcome
	// is unknown: the transaction may still become durable, until an Expire, Retire
	// or Control has changed the execution's owner or epoch. Committing again is not possible.
	Commit(ctx context.Context, a Advance) (Result, error)

	// Rollback rolls back, if Commit was not called.
	Rollback()

	// Again tells whether an error that user code got from the transaction says
	// that another one was in the way, or that the database is in trouble: then doing
	// it all again in a new transaction may help.
	Again(err error) bool
}
