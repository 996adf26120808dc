package store

import "time"

// Lease is a worker's claim to be alive.
type Lease struct {
	Who      Incarnation
	Name     string // label for people
	Duration time.Duration
	New      bool
	Queues   []string // a look into these queues comes with the answer
	// Report is what the worker says about itself: bytes to the store, kept
	// until the next renewal, for Survey.
	Report []byte
}

// Renewal answers a renewal.
type Renewal struct {
	Now   time.Time
	Owned []Owned // all executions of this incarnation
	// NextExpiry is the earliest end of another incarnation's lease that is
	// not retired, past ones included; zero if there is none.
	NextExpiry time.Time
	Paused     []Pause // by name
	// NextDue is the earliest Due, past ones included, of executions without an
	// owner in Lease.Queues, whatever the definition; zero if there is none. It
	// spares an idle worker a claim.
	NextDue time.Time
	// Blocked tells whether an execution in Lease.Queues is blocked, by whatever
	// code.
	Blocked bool
}

// Pause is a paused queue.
type Pause struct {
	Queue string
	Since time.Time // store's clock when it was paused
	By    string
}

// Survey is what workers share.
type Survey struct {
	Now    time.Time
	Leases []Living // by Name, then Who
	Paused []Pause  // by name
}

// Living is a lease as others see it. It is there until Expire or Retire ends
// it, also after it has run out.
type Living struct {
	Who     Incarnation
	Name    string
	Expires time.Time
	Report  []byte
}

// Owned is an execution as its owner's heartbeat sees it.
type Owned struct {
	ID    ID
	Epoch int64
	Inbox int64
}
