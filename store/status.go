package store

// Status is where an execution stands.
type Status string

// The statuses.
const (
	Pending            Status = "pending"             // due now or later, nobody has it
	Running            Status = "running"             // a worker has it
	Waiting            Status = "waiting"             // at least one wait is open
	Completed          Status = "completed"           // ended well
	Failed             Status = "failed"              // ended with an error, nothing to undo
	Cancelled          Status = "cancelled"           // ended from outside
	Compensating       Status = "compensating"        // undoing
	Compensated        Status = "compensated"         // ended with an error, all undone
	CompensationFailed Status = "compensation_failed" // ended with an error, not all undone
	Blocked            Status = "blocked"             // the code has no place for it; waits for code or an operator
)

// Statuses lists all statuses in the order in which they are shown.
func Statuses() []Status {
	return []Status{Pending, Running, Waiting, Compensating, Blocked, Completed, Failed, Cancelled, Compensated, CompensationFailed}
}

// Ended tells whether the execution has come to an end. Nothing happens to it any more, unless
// Legal has a way from there.
func (s Status) Ended() bool {
	switch s {
	case Completed, Failed, Cancelled, Compensated, CompensationFailed:
		return true
	}
	return false
}

// Valid tells whether s is one of the statuses.
func (s Status) Valid() bool {
	switch s {
	case Pending, Running, Waiting, Compensating, Blocked:
		return true
	}
	return s.Ended()
}

// Legal tells whether a status may become another. It is the only place where
// that is decided.
func Legal(from, to Status) bool {
	switch from {
	case Pending, Waiting, Blocked:
		// A claim, a wake, or an end from outside.
		return to == Running || to == Pending || to == Cancelled || to == Blocked || to == Compensating
	case Running:
		return to != Running
	case Compensating:
		return to == Compensated || to == CompensationFailed || to == Compensating || to == Blocked
	case CompensationFailed:
		return to == Compensating // what could not be undone is tried again
	case Completed:
		return to == Compensating // its parent goes back: see Advance.Recall
	}
	return false
}
