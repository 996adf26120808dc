package store

import "time"

// Wait is an open wait. Its ID is made by the engine and unique in the store.
type Wait struct {
	ID        string
	Execution ID
	Workflow  string // filled by the store when read
	Queue     string // filled by the store when read
	Path      string
	Call      string
	Kind      string // as the engine names it: "event", "input", "approval", "sleep" …
	Name      string
	Topic     string // a message with this topic wakes it; "" only by Wait or Due
	Shared    bool   // Publish gives to it, too
	Detail    []byte // prompt, schema and so on; opaque
	Deadline  time.Time
	Label     string    // for lists: what WaitFilter.Label compares
	Opened    time.Time // filled by the store
}
