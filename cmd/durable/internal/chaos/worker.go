package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/cmd/durable/internal/demo"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/store/sqlite"
)

// Worker is what a worker process is told.
type Worker struct {
	Number  int
	DB      string
	Ledger  string
	Results string
	Model   string // URL of the server of the offline model
	Lease   time.Duration
}

// The slots of a worker: few, so that all of them have work.
const (
	slots   = 4
	aiSlots = 2
)

// maxState is more than a document of demo.MaxFile takes as JSON.
const maxState = 16 << 20

// Work works until ctx ends, or the process that started it is gone: then in closes.
func Work(ctx context.Context, w Worker, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	l, err := openLedger(w.Ledger, w.Number)
	if err != nil {
		return err
	}
	e, _, err := w.open(ctx, l)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return l.file.Close() // told to stop before it had begun
	}
	if err != nil {
		return err
	}
	client, err := demo.Client(demo.Choose(demo.OfflineModel), w.Model)
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(ai.WithClient(ctx, client)) }()
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(e.Close(), <-running, l.file.Close())
}

// open opens the database with the pipeline; a nil ledger writes nothing.
func (w Worker) open(ctx context.Context, l *ledger) (*durable.Engine, *durable.Workflow[pipeline.Document], error) {
	office := pipeline.Pipeline{
		Source:  demo.Source{},
		Archive: pipeline.Folder(w.Results),
	}
	if l != nil {
		office.Around = l.around
	}
	process := office.Workflow()
	logs := slog.New(slog.DiscardHandler)
	if os.Getenv("DURABLE_CHAOS_LOG") != "" {
		logs = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("worker", w.Number)
	}
	e, err := durable.Open(ctx, sqlite.Open(w.DB), durable.Config{
		Workflows:  []durable.Definition{process},
		Queues:     map[string]durable.Queue{"default": {Concurrency: slots}, "ai": {Concurrency: aiSlots}},
		Name:       fmt.Sprintf("worker %d", w.Number),
		Lease:      w.Lease,
		MaxPayload: maxState,
		Logger:     logs,
	})
	return e, process, err
}
