package store

// Wide is what a store may be beside. It says how many calls of Commit at once
// it makes good use of; others get one at a time, and two at once never have
// Advance, Begin or Control of one execution.
type Wide interface {
	CommitsAtOnce() int
}
