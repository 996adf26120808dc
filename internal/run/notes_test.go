package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// clerk is a handler that takes a while for each record.
type clerk struct {
	slog.Handler
	pause time.Duration
}

func (c clerk) Handle(ctx context.Context, r slog.Record) error {
	<-time.After(c.pause)
	return c.Handler.Handle(ctx, r)
}

// Notes come in order, with the time at which they were said, and what was dropped is told.
func TestNotes_ASlowLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		n := notes{log: slog.New(clerk{slog.NewTextHandler(&out, nil), time.Millisecond})}
		began := time.Now()
		for i := range maxNotes + 10 {
			n.Warn(fmt.Sprintf("n%d.", i), "error", i)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("to say it took %s", d)
		}
		n.wait()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) < maxNotes+1 || len(lines) > maxNotes+2 {
			t.Fatalf("%d lines", len(lines))
		}
		for i, line := range lines[:maxNotes] {
			if !strings.Contains(line, fmt.Sprintf("msg=n%d. error=%d", i, i)) || !strings.Contains(line, began.Format("05.000")) {
				t.Fatalf("line %d is %s", i, line)
			}
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, fmt.Sprintf(`msg="%d notes of the engine were dropped`, maxNotes+11-len(lines))) {
			t.Errorf("it ends with %s", last)
		}
	})
}

// Whoever ends waits for what is said, but not for ever.
func TestNotes_TheEndWaitsForThem(t *testing.T) {
	for pause, want := range map[time.Duration]time.Duration{time.Second: 3 * time.Second, time.Hour: notesPatience} {
		synctest.Test(t, func(t *testing.T) {
			n := notes{log: slog.New(clerk{slog.NewTextHandler(io.Discard, nil), pause})}
			n.wait() // for nothing
			for range 3 {
				n.Info("x")
			}
			began := time.Now()
			n.wait()
			if d := time.Since(began); d != want {
				t.Errorf("it waits %s, want %s", d, want)
			}
			<-time.After(3 * pause)
		})
	}
}
