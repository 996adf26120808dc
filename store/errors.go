package store

import "errors"

// Errors that stores return, to be tested with errors.Is.
var (
	// ErrNotFound: there is no such execution, wait or blob.
	ErrNotFound = errors.New("not found")
	// ErrLost: what was stored is not there any more, or not whole, and nobody removed it: the database is damaged.
	ErrLost = errors.New("the database has lost what was stored")
	// ErrLeaseLost: the incarnation's lease has expired, was taken over, or never was.
	ErrLeaseLost = errors.New("lease lost")
	// ErrRefused: the database refuses this change and always will; nothing was changed.
	ErrRefused = errors.New("refused by the database")
	// ErrFull: no space left (disk or database limit); it may come back.
	ErrFull = errors.New("no space left for the database")
	// ErrNewer: the schema was made by a newer version of this program.
	ErrNewer = errors.New("the database has a newer schema")
	// ErrNotDatabase: the file or schema is not one of ours.
	ErrNotDatabase = errors.New("not a durable database")
	// ErrReadOnly: the database cannot be written.
	ErrReadOnly = errors.New("the database is read-only")
	// ErrBadCursor: a page cursor that no call returned.
	ErrBadCursor = errors.New("bad page cursor")
	// ErrNoTransactions: this store has no transactions that users can share.
	ErrNoTransactions = errors.New("this store has no transactions")
	// ErrBadTx: that is no open transaction on this store's database.
	ErrBadTx = errors.New("not an open transaction on this database")
	// ErrRolledBack: the transaction was rolled back, for certain.
	ErrRolledBack = errors.New("the transaction was rolled back")
	// ErrConflict: another transaction was in the way; doing it all again may help.
	ErrConflict = errors.New("another transaction was in the way")
	// ErrTrouble: the database is in trouble that has nothing to do with what was
	// asked of it, and that passes.
	ErrTrouble = errors.New("the database is in trouble")
	// ErrTxTimeout: the transaction was open for too long.
	ErrTxTimeout = errors.New("the transaction was open for too long")
	// ErrTxEnded: user code ended a transaction that was not its own to end.
	ErrTxEnded = errors.New("the transaction was ended by the code that it was given to")
)
