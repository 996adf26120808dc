package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/postgres"
)

// workerVariable makes this binary a worker process, with what is in it.
const workerVariable = "DURABLE_BENCH_WORKER"

// workerSpec is what a worker process is told.
type workerSpec struct {
	URL         string
	Schema      string
	Concurrency int
	Lease       time.Duration
}

// line is what a worker prints, one JSON object a line, as an answer or, if
// First is set, when it executes a step of the endless run for the first time.
type line struct {
	First     int64   `json:",omitempty"` // microseconds of the wall clock
	Error     string  `json:",omitempty"`
	Count     int64   `json:",omitempty"` // steps in the window
	Heap      int64   `json:",omitempty"` // live bytes
	Resident  int64   `json:",omitempty"` // bytes
	CPU       int64   `json:",omitempty"` // microseconds so far
	Latencies []int64 `json:",omitempty"` // microseconds
}

// command is what a worker is asked, one JSON object a line.
type command struct {
	Drive time.Duration // measure a window of own runs, 100 at a time
}

// work is the worker process. It ends on SIGTERM, as a deployed worker would,
// and when the process that started it is gone.
func work(raw string) int {
	signal.Ignore(os.Interrupt) // a terminal sends it to all; the parent decides
	var spec workerSpec
	err := json.Unmarshal([]byte(raw), &spec)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = spec.work(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench worker:", err)
		return 1
	}
	return 0
}

func (spec *workerSpec) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &printer{out: json.NewEncoder(os.Stdout)}
	l := newLibrary(p)
	o := postgres.Open(spec.URL, postgres.Schema(spec.Schema))
	e, err := durable.Open(ctx, o, durable.Config{
		Workflows: l.all(), Queues: map[string]durable.Queue{"default": {Concurrency: spec.Concurrency}},
		Lease: spec.Lease, Logger: quiet(),
	})
	if err != nil {
		return err
	}
	go func() {
		defer cancel() // the parent is gone
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			var c command
			if err := json.Unmarshal(in.Bytes(), &c); err != nil {
				p.print(line{Error: err.Error()})
				continue
			}
			p.print(l.answer(ctx, e, c))
		}
	}()
	p.print(line{}) // ready
	if err := e.Run(ctx); err != nil {
		return err
	}
	return e.Close()
}

type printer struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (p *printer) print(l line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.out.Encode(l); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

// library is the workflows that worker processes execute, and what they saw.
type library struct {
	five    *durable.Workflow[doc]
	waiting *durable.Workflow[doc]
	endless *durable.Workflow[doc]
	asleep  *durable.Workflow[doc]

	woken     atomic.Int64 // waits for events that ended
	mu        sync.Mutex
	latencies []int64
}

func newLibrary(p *printer) *library {
	l := &library{five: fiveSteps()}
	l.waiting = durable.Define("waiting", durable.Step("wait", func(ctx context.Context, d *doc) error {
		sent, err := durable.WaitForEvent[int64](ctx, "go")
		if err != nil {
			return err
		}
		now := time.Now().UnixMicro()
		l.woken.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.latencies = append(l.latencies, now-sent)
		d.A = "woken"
		return nil
	}))
	var first sync.Once
	l.endless = durable.Define("endless", durable.Loop("again", func(*doc) bool { return true },
		durable.Step("step", func(ctx context.Context, _ *doc) error {
			first.Do(func() { p.print(line{First: time.Now().UnixMicro()}) })
			return pause(ctx, 2*time.Millisecond)
		}).Retry(durable.Retry{MaxAttempts: 1000})).Max(1_000_000))
	l.asleep = durable.Define("asleep", durable.Step("sleep", func(ctx context.Context, d *doc) error {
		d.A = "slept"
		return durable.Sleep(ctx, 30*24*time.Hour)
	}))
	return l
}

func (l *library) all() []durable.Definition {
	return []durable.Definition{l.five, l.waiting, l.endless, l.asleep}
}

func (l *library) answer(ctx context.Context, e *durable.Engine, c command) line {
	if c.Drive > 0 {
		r, err := drive(ctx, nil, c.Drive, 100, func(ctx context.Context) (int, error) { return steps, complete(ctx, e, l.five) })
		if err != nil {
			return line{Error: err.Error()}
		}
		return line{Count: r.n}
	}
	out := line{CPU: cpuTime().Microseconds()}
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	out.Heap, out.Resident = int64(m.HeapAlloc), resident()
	l.mu.Lock()
	defer l.mu.Unlock()
	out.Latencies, l.latencies = l.latencies, nil
	return out
}
