package postgres

import (
	"time"

	"github.com/durable-go/durable/store"
)

// head is what a write must know of its execution before it may touch it. While
// the execution is locked it is exact, but for length: a plain step of the
// owner may be on its way in. The journal's key then makes one of the two race.
//
// Writes are judged by heads and change them; what changed is written at the
// end of the transaction.
type head struct {
	status  store.Status
	owner   store.Incarnation
	epoch   int64
	length  int
	inbox   int64
	waits   int64             // open
	held    bool              // it has holds
	open    map[string]string // topics of open waits by their ids; nil: not read
	topics  map[string]bool   // topics that are asked about and of which a wait is open, if open was not read
	used    map[string]bool   // dedupe names that are asked about and were used
	untaken int64             // messages not yet taken; read for deliveries only
	rowAt   map[int]int64     // epochs of journal rows that are what is to be written, by seq
	blocked []string          // by which code
	isLast  bool              // the last row is the one that a Control would append

	parked *parking // the last release
	counts bool     // inbox, waits, status or due have changed since
	woken  bool     // by a message, since
	first  bool     // and it is due since its creation
}

// parking is what a release writes.
type parking struct {
	status     store.Status
	waits      int64
	inbox      int64
	due, ended time.Time // zero: none
	queue      string    // "" leaves it
	code       string
	detail     []byte
	blocked    string
}
