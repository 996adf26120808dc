package store

import "time"

// Filter selects executions. Zero fields do not filter; set ones combine by
// "and", list elements by "or" except Tags, which must all be there.
type Filter struct {
	Workflow  string
	Version   *string
	Statuses  []Status
	Queue     string
	Key       string
	Tags      []string
	ErrorCode string
	IDPrefix  string // lower-case hex with or without dashes
	After     time.Time
	Before    time.Time // Created in [After, Before)
	Parent    ID        // those begun by this execution; zero: does not filter
	TopLevel  bool      // those without a parent
	Cursor    string
	Limit     int  // 0: 50; more than 1,000 is cut to 1,000
	Count     bool // also count all that match, ignoring Cursor and Limit
}

// Page is a page of executions.
type Page struct {
	Executions []Execution
	Cursor     string // "" at the end
	Count      int
}

// WaitFilter selects open waits.
type WaitFilter struct {
	ID        string
	Execution ID // zero: all
	Workflow  string
	Queue     string
	Name      string
	Label     string
	Kinds     []string
	Cursor    string
	Limit     int // as in Filter
}

// WaitPage is a page of waits.
type WaitPage struct {
	Waits  []Wait
	Cursor string
}
