// Package chaos proves on the document pipeline that nothing is lost when processes die: it
// runs workers as processes of their own on one database file, kills them, and holds what
// came of it against what must have come of it. It uses the public API only; what it judges
// by is its own: a ledger that the bodies of the steps write, and the pipeline's Straight.
package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// entry is a line of the ledger: a body began, or ended.
type entry struct {
	Worker  int        `json:"worker"` // number of the process, never used again
	Run     durable.ID `json:"run"`
	Doc     string     `json:"doc"`
	Path    string     `json:"path"`
	Attempt int        `json:"attempt"`
	What    what       `json:"what"`
	Why     string     `json:"why,omitempty"`
}

// what is what became of a body, as the body itself saw it.
type what string

const (
	began     what = "began"
	returned  what = "returned"  // nil
	failed    what = "failed"    // an error
	suspended what = "suspended" // it waits; it will begin again from its top
	ousted    what = "ousted"    // its worker stopped, or lost its lease
)

// ledger is a file to which all workers append. The kernel keeps what was written when the
// writer is killed, and each line is one write, so lines are whole.
type ledger struct {
	mu     sync.Mutex
	file   *os.File
	worker int
}

func openLedger(path string, worker int) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &ledger{file: f, worker: worker}, nil
}

// around writes when a body begins and how it ends.
func (l *ledger) around(body pipeline.Body) pipeline.Body {
	return func(ctx context.Context, d *pipeline.Document) (err error) {
		info, ok := durable.Info(ctx)
		if !ok {
			return errors.New("the ledger knows no step")
		}
		e := entry{Worker: l.worker, Run: info.Execution, Doc: d.ID, Path: info.Path, Attempt: info.Attempt, What: began}
		if err := l.write(e); err != nil {
			return err
		}
		e.What = suspended // unless body returns: a wait ends the goroutine
		defer func() {
			cause := context.Cause(ctx)
			if cause != nil && !errors.Is(cause, durable.ErrSuspended) {
				e.What, e.Why = ousted, cause.Error()
			}
			err = errors.Join(err, l.write(e))
		}()
		err = body(ctx, d)
		e.What = returned
		if err != nil {
			e.What, e.Why = failed, err.Error()
		}
		return err
	}
}

func (l *ledger) write(e entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.file.Write(append(b, '\n'))
	return err
}

// reader reads a ledger while it grows.
type reader struct {
	path string
	seen int64
	all  []entry
}

// read reads the lines that are new.
func (r *reader) read() error {
	f, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(r.seen, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what has no end yet is read the next time
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return fmt.Errorf("the ledger: %w", err)
		}
		r.seen += int64(len(line))
		r.all = append(r.all, e)
	}
}

// open is the bodies of a worker that began and did not end.
func (r *reader) open(worker int) []entry {
	var list []entry
	for _, e := range r.all {
		if e.Worker != worker {
			continue
		}
		if e.What == began {
			list = append(list, e)
			continue
		}
		for i, b := range list {
			if b.Run == e.Run && b.Path == e.Path {
				list = append(list[:i], list[i+1:]...)
				break
			}
		}
	}
	return list
}
