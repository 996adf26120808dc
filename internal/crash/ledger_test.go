//go:build fail

package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable"
)

// line is one line of the ledger, a file apart from the database. Each line is
// one write of its own.
type line struct {
	Kind     string     `json:"kind"` // begin, end, failed, gone, reconciled, effect, call, booked, refunded, child
	Run      durable.ID `json:"run"`
	Workflow string     `json:"workflow,omitempty"`
	Path     string     `json:"path"`
	Epoch    int64      `json:"epoch"`
	Attempt  int        `json:"attempt"`
	PID      int        `json:"pid"`
	At       time.Time  `json:"at"`
	Key      string     `json:"key,omitempty"`     // effect: what it may be told apart by
	Account  int        `json:"account,omitempty"` // effect
	Amount   int        `json:"amount,omitempty"`  // effect
	Call     string     `json:"call,omitempty"`    // call: which
	Nonce    string     `json:"nonce,omitempty"`   // call: what it returned
}

// ledger appends lines to a file.
type ledger struct {
	path   string
	file   *os.File
	mutant string
	users  string // the schema of users' tables, on a server
	nonces atomic.Int64
	busy   func() // told about every body that begins
}

func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return &ledger{path: path, file: f}, err
}

func (l *ledger) write(ctx context.Context, x line) {
	info, ok := durable.Info(ctx)
	if !ok {
		panic("crash: a ledger line outside a step")
	}
	x.Run, x.Workflow, x.Path, x.Epoch, x.Attempt = info.Execution, info.Workflow, info.Path, info.Epoch, info.Attempt
	x.PID, x.At = os.Getpid(), time.Now()
	b, err := json.Marshal(x)
	if err == nil {
		_, err = l.file.Write(append(b, '\n'))
	}
	if err != nil {
		panic("crash: the ledger: " + err.Error())
	}
}

// nonce is a text that no other process and no other call makes.
func (l *ledger) nonce() string {
	return fmt.Sprintf("%d-%d-%d", os.Getpid(), time.Now().UnixNano(), l.nonces.Add(1))
}

// readLedger returns all lines. A ledger that was never begun is empty.
func readLedger(path string) ([]line, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []line
	for text := range bytes.Lines(raw) {
		// A process that is killed while it writes may leave half a line, and the
		// next writer goes on behind it. Half a line is none.
		if i := bytes.LastIndex(text, []byte(`{"kind":`)); i > 0 {
			text = text[i:]
		}
		if !bytes.HasSuffix(text, []byte("\n")) {
			continue
		}
		var x line
		if err := json.Unmarshal(text, &x); err != nil {
			return nil, fmt.Errorf("ledger line %q: %w", text, err)
		}
		list = append(list, x)
	}
	return list, nil
}

// watched writes the beginning and the end of a body to the ledger.
func watched[S any](l *ledger, body func(ctx context.Context, s *S) error) func(ctx context.Context, s *S) error {
	return func(ctx context.Context, s *S) (err error) {
		l.write(ctx, line{Kind: "begin"})
		if l.busy != nil {
			l.busy()
		}
		returned := false
		defer func() {
			if !returned { // suspended in a wait
				l.write(ctx, line{Kind: "gone"})
			}
		}()
		err = body(ctx, s)
		returned = true
		switch {
		case err != nil:
			l.write(ctx, line{Kind: "failed"})
		case l.mutant != "no-end":
			l.write(ctx, line{Kind: "end"})
		}
		return err
	}
}
