package store

import "time"

// Log is a log entry of one attempt. (Execution, Path, Attempt, N) is its key.
type Log struct {
	Path    string
	Attempt int
	N       int
	At      time.Time
	Level   int // as slog.Level
	Text    string
	Attrs   []byte // JSON object or nil
}
