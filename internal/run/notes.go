package run

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

const (
	// maxNotes is how many notes wait for a slow logger.
	maxNotes = 1000
	// notesPatience is how long whoever ends waits for the logger.
	notesPatience = 5 * time.Second
)

// notes is the way to the user's logger. What is said is written one after the
// other on a goroutine of its own, which ends when nothing is left: a handler may be slow, or call the
// engine, and who says something may hold the worker's lock. What is too much is counted, and dropped.
type notes struct {
	log *slog.Logger

	mu      sync.Mutex
	list    []slog.Record
	dropped int
	written chan struct{} // closed when nothing is left; nil: nothing is being written
}

// Info notes what is in order.
func (n *notes) Info(text string, args ...any) { n.add(slog.LevelInfo, text, args) }

// Warn notes what an operator should see.
func (n *notes) Warn(text string, args ...any) { n.add(slog.LevelWarn, text, args) }

func (n *notes) add(level slog.Level, text string, args []any) {
	var from [1]uintptr
	runtime.Callers(3, from[:]) // who called Info or Warn
	rec := slog.NewRecord(time.Now(), level, text, from[0])
	rec.Add(args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) >= maxNotes {
		n.dropped++
		return
	}
	n.list = append(n.list, rec)
	if n.written == nil {
		n.written = make(chan struct{})
		go n.write()
	}
}

// write writes until nothing is left.
func (n *notes) write() {
	ctx, h := context.Background(), n.log.Handler()
	for rec, ok := n.next(); ok; rec, ok = n.next() {
		if h.Enabled(ctx, rec.Level) {
			_ = h.Handle(ctx, rec) // there is nobody else to tell
		}
	}
}

// next takes the oldest note. What was dropped came after all that are there, so
// it is told when those are written.
func (n *notes) next() (rec slog.Record, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) > 0 {
		rec, n.list = n.list[0], n.list[1:]
		return rec, true
	}
	if n.dropped > 0 {
		rec = slog.NewRecord(time.Now(), slog.LevelWarn, fmt.Sprintf("%d notes of the engine were dropped: the logger is too slow", n.dropped), 0)
		n.dropped = 0
		return rec, true
	}
	close(n.written)
	n.list, n.written = nil, nil
	return rec, false
}

// wait waits until all is written, but not for ever for a logger that stands.
func (n *notes) wait() {
	n.mu.Lock()
	written := n.written
	n.mu.Unlock()
	if written == nil {
		return
	}
	t := time.NewTimer(notesPatience)
	defer t.Stop()
	select {
	case <-written:
	case <-t.C:
	}
}
