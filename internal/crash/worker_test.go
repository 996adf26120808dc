//go:build fail

package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
	"github.com/durable-go/durable/store/sqlite"
)

// settings are how a worker process works; they come in the environment.
type settings struct {
	DB      string        `json:"db"`
	Schema  string        `json:"schema"` // not empty: DB is the URL of a PostgreSQL
	Ledger  string        `json:"ledger"`
	Archive string        `json:"archive"`
	Lease   time.Duration `json:"lease"`
	Mutant  string        `json:"mutant"`
	Ask     bool          `json:"ask"` // look for questions
}

const settingsVariable = "CRASH_WORKER"

// opener names a database: a file, or a schema on a server.
func opener(db, schema string) store.Opener {
	if schema != "" {
		return postgres.Open(db, postgres.Schema(schema))
	}
	return sqlite.Open(db)
}

// message is what parent and worker say to each other, one JSON line each.
type message struct {
	Op       string          `json:"op"`
	N        int             `json:"n,omitempty"` // of a command; its ack has the same
	Workflow string          `json:"workflow,omitempty"`
	Key      string          `json:"key,omitempty"`
	Tag      string          `json:"tag,omitempty"`
	Run      durable.ID      `json:"run,omitzero"`
	Name     string          `json:"name,omitempty"`
	Event    string          `json:"event,omitempty"`
	By       string          `json:"by,omitempty"`
	At       time.Time       `json:"at,omitzero"`
	Value    json.RawMessage `json:"value,omitempty"`
	Bytes    int64           `json:"bytes,omitempty"`
	Err      string          `json:"err,omitempty"`
	Code     string          `json:"code,omitempty"` // of an error: gone, unknown
}

// child is the worker process.
type child struct {
	settings
	engine *durable.Engine
	loads  map[string]workload
	mu     sync.Mutex
	out    *os.File
	busy   sync.Once
}

// say writes one line to the parent, in one write.
func (c *child) say(m message) {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.out.Write(append(b, '\n')); err != nil {
		os.Exit(1) // the parent has gone
	}
}

// work is the main function of a worker process.
func work(text string) int {
	signal.Ignore(syscall.SIGXFSZ) // a full disk is an error, not a signal
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})))
	c := &child{out: os.Stdout}
	if err := json.Unmarshal([]byte(text), &c.settings); err != nil {
		fmt.Fprintln(os.Stderr, "settings:", err)
		return 1
	}
	if err := c.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		c.say(message{Op: "broken", Err: err.Error()})
		return 1
	}
	return 0
}

func (c *child) run(ctx context.Context) error {
	l, err := openLedger(c.Ledger)
	if err != nil {
		return err
	}
	l.mutant, l.users = c.Mutant, users(c.Schema)
	l.busy = func() { c.busy.Do(func() { go c.say(message{Op: "busy"}) }) }
	c.loads = workloads(l, c.Archive)
	cfg := durable.Config{
		Lease: c.Lease, ShutdownGrace: 2 * time.Second,
		Queues: map[string]durable.Queue{"default": {Concurrency: 8, PollInterval: 50 * time.Millisecond}, "ai": {Concurrency: 4, PollInterval: 50 * time.Millisecond}},
	}
	for _, w := range c.loads {
		cfg.Workflows = append(cfg.Workflows, w.definition)
	}
	opener := opener(c.DB, c.Schema)
	if c.Mutant == "relaxed" {
		opener = sqlite.Open(c.DB, sqlite.Relaxed())
	}
	if c.engine, err = durable.Open(ctx, mutated(opener, c.Mutant, c.DB), cfg); err != nil {
		return err
	}
	models, err := client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ai.WithClient(ctx, models))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.engine.Run(ctx) }()
	c.say(message{Op: "ready"})
	if c.Ask {
		go c.look(ctx)
	}
	if err := c.commands(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.engine.Close(), <-done); err != nil {
		return err
	}
	c.say(message{Op: "stopped"})
	return nil
}

// commands obeys the parent until it says stop. Each command has a goroutine.
func (c *child) commands(ctx context.Context) error {
	in := bufio.NewReader(os.Stdin)
	for {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			os.Exit(1) // the parent has gone: no orphans
		}
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		if m.Op == "stop" {
			return nil
		}
		go c.obey(ctx, m)
	}
}

func (c *child) obey(ctx context.Context, m message) {
	ack := message{Op: "ack", N: m.N, Run: m.Run}
	if c.Mutant == "ack-early" && m.Op != "start" {
		c.say(ack)
	}
	var err error
	switch m.Op {
	case "start":
		ack.Run, err = c.start(ctx, m)
	case "send":
		err = c.engine.SendEvent(ctx, m.Run, m.Name, m.Value, durable.EventID(m.Event))
	case "answer":
		err = c.engine.ProvideInput(ctx, m.Run, m.Name, m.Value, durable.By(m.By))
	case "cancel":
		err = c.engine.Cancel(ctx, m.Run, "by command", durable.By(m.By))
	case "settle":
		ack.Op, err = "settled", c.settle(ctx, m.Run)
	case "fill":
		err = fill(filepath.Join(filepath.Dir(c.DB), "filler"))
	case "free":
		err = os.Remove(filepath.Join(filepath.Dir(c.DB), "filler"))
	case "limit":
		err = limit(m.Bytes)
	}
	if err != nil {
		ack.Err = err.Error()
		switch {
		case errors.Is(err, durable.ErrNoSuchWait), errors.Is(err, durable.ErrRunDone):
			ack.Code = "gone"
		case errors.Is(err, durable.ErrUnknown):
			ack.Code = "unknown"
		}
	}
	c.say(ack)
}

func (c *child) start(ctx context.Context, m message) (durable.ID, error) {
	var opts []durable.StartOption
	if m.Key != "" {
		opts = append(opts, durable.Key(m.Key))
	}
	if m.Tag != "" {
		opts = append(opts, durable.Tags(m.Tag))
	}
	if !m.At.IsZero() {
		opts = append(opts, durable.At(m.At))
	}
	return c.loads[m.Workflow].start(ctx, c.engine, m.Value, opts...)
}

// look tells the parent of questions.
func (c *child) look(ctx context.Context) {
	told := map[string]bool{}
	for t := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		page, err := c.engine.PendingInputs(ctx, durable.InputFilter{Limit: 1000})
		if err != nil {
			continue
		}
		for _, in := range page.Inputs {
			if !told[in.ID] && in.Workflow == pipeline.Name {
				told[in.ID] = true
				c.ask(in)
			}
		}
	}
}

// settle waits until no run is left to do; with a run, until that has ended.
func (c *child) settle(ctx context.Context, run durable.ID) error {
	f := durable.Filter{Statuses: []durable.Status{durable.Pending, durable.Running, durable.Waiting, durable.Compensating}, Limit: 1}
	if run != (durable.ID{}) {
		f.IDPrefix = run.String()
	}
	for t := time.NewTicker(5 * time.Millisecond); ; {
		open, err := c.engine.Executions(ctx, f)
		if err == nil && len(open.Executions) == 0 {
			t.Stop()
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *child) ask(in durable.PendingInput) {
	answer, err := pipeline.Rule(in)
	if err != nil {
		c.say(message{Op: "broken", Err: err.Error()})
		return
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	c.say(message{Op: "asked", Run: in.Execution, Name: in.ID, Value: raw})
}

// fill writes a file until no space is left.
func fill(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for size := len(block); size > 0; {
		if _, err = f.Write(block[:size]); err != nil {
			size /= 2
		}
	}
	if cerr := f.Close(); cerr != nil {
		return cerr
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the disk ended with %w", err)
	}
	return nil
}

// limit sets how large a file may grow; 0 takes the limit away.
func limit(bytes int64) error {
	l := syscall.Rlimit{Cur: uint64(bytes), Max: ^uint64(0)}
	if bytes == 0 {
		l.Cur = l.Max
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}
