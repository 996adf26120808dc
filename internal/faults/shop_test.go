//go:build linux

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// order is the state of a run: a charge that must happen once, a step that
// fails once by plan and may not fail twice, an event to wait for, an end.
type order struct {
	N       int    `json:"n"`
	Charged string `json:"charged,omitempty"`
	Packed  int    `json:"packed,omitempty"`
	Signed  string `json:"signed,omitempty"`
	Ended   bool   `json:"ended,omitempty"`
}

// worker is the name of each worker here, by which its renewals are known.
const worker = "a worker of the shop"

// shop is an engine, its clients and its ledger.
type shop struct {
	t      *testing.T
	engine *durable.Engine
	flow   *durable.Workflow[order]
	log    logged
	runs   chan error // the end of Run

	mu      sync.Mutex
	nonces  map[durable.ID][]string
	bodies  map[string]int // by run and path
	acked   map[durable.ID]int
	wrong   []string
	done    int
	more    chan struct{} // closed when done grows
	next    atomic.Int64
	stop    chan struct{}
	clients sync.WaitGroup
	closed  bool
}

// logged keeps what the engine logs.
type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// open makes an engine that works.
func open(t *testing.T, o store.Opener, cfg durable.Config) *shop {
	t.Helper()
	s := begin(t, o, cfg)
	s.runs = make(chan error, 1)
	go func() { s.runs <- s.engine.Run(context.Background()) }()
	return s
}

// begin makes an engine that only starts and asks.
func begin(t *testing.T, o store.Opener, cfg durable.Config) *shop {
	t.Helper()
	s := &shop{
		t: t, nonces: map[durable.ID][]string{}, bodies: map[string]int{}, acked: map[durable.ID]int{},
		more: make(chan struct{}), stop: make(chan struct{}),
	}
	s.flow = s.define()
	cfg.Workflows = append(cfg.Workflows, s.flow)
	cfg.Logger = slog.New(slog.NewTextHandler(&s.log, nil))
	cfg.Name = worker
	cfg.ShutdownGrace = 2 * time.Second
	e, err := durable.Open(t.Context(), o, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.engine = e
	t.Cleanup(func() {
		s.close()
		if t.Failed() {
			text := s.log.String()
			t.Logf("%+v\n%s", e.Stats(), text[max(0, len(text)-4000):])
		}
	})
	return s
}

func (s *shop) define() *durable.Workflow[order] {
	step := func(name string, fn func(ctx context.Context, o *order) error) *durable.StepNode[order] {
		return durable.Step(name, func(ctx context.Context, o *order) error {
			s.begun(ctx)
			return fn(ctx, o)
		})
	}
	return durable.Define("order",
		step("charge", func(ctx context.Context, o *order) (err error) {
			o.Charged, err = durable.Do(ctx, "charge", func(ctx context.Context) (string, error) { return s.charge(ctx), nil })
			return err
		}),
		step("pack", func(ctx context.Context, o *order) error {
			o.Packed++
			if info, _ := durable.Info(ctx); info.Failures == 0 {
				return errors.New("not yet")
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Millisecond, Backoff: durable.Constant, Jitter: durable.NoJitter}),
		step("sign", func(ctx context.Context, o *order) (err error) {
			o.Signed, err = durable.WaitForEvent[string](ctx, "signed")
			return err
		}),
		step("end", func(_ context.Context, o *order) error {
			o.Ended = true
			return nil
		}))
}

func (s *shop) begun(ctx context.Context) {
	info, _ := durable.Info(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies[info.Execution.String()+" "+info.Path]++
}

func (s *shop) charge(ctx context.Context) string {
	info, _ := durable.Info(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := fmt.Sprintf("%s/%d", info.Execution, len(s.nonces[info.Execution]))
	s.nonces[info.Execution] = append(s.nonces[info.Execution], n)
	return n
}

// serve lets so many clients start runs, sign them and wait for their ends,
// until halt.
func (s *shop) serve(clients int) {
	for range clients {
		s.clients.Go(func() {
			for {
				select {
				case <-s.stop:
					return
				default:
					s.visit(context.Background(), int(s.next.Add(1)))
				}
			}
		})
	}
}

// again repeats what failed as its user would: with the same key or id.
func (s *shop) again(ctx context.Context, what string, do func(ctx context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := do(one)
		cancel()
		if err == nil || ctx.Err() != nil || errors.Is(err, durable.ErrRunDone) || errors.Is(err, durable.ErrKeyConflict) {
			return err
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%s: %w", what, err)
		}
	}
}

// visit is one client with one order.
func (s *shop) visit(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	var run *durable.Run[order]
	err := s.again(ctx, "start", func(ctx context.Context) (err error) {
		run, err = s.flow.Start(ctx, s.engine, order{N: n}, durable.Key(fmt.Sprint("order ", n)))
		return err
	})
	if err != nil {
		s.fault("order %d: %v", n, err)
		return
	}
	s.mu.Lock()
	s.acked[run.ID] = n
	s.mu.Unlock()
	if err := s.again(ctx, "sign", func(ctx context.Context) error {
		return s.engine.SendEvent(ctx, run.ID, "signed", fmt.Sprint("by ", n), durable.EventID("e"))
	}); err != nil {
		s.fault("order %d, run %s: sign: %v", n, run.ID, err)
		return
	}
	o, err := run.Wait(ctx)
	if err != nil || !o.Ended || o.N != n || o.Packed != 1 || o.Signed != fmt.Sprint("by ", n) {
		s.fault("order %d, run %s: %+v, %v", n, run.ID, o, err)
	}
	s.mu.Lock()
	s.done++
	close(s.more)
	s.more = make(chan struct{})
	s.mu.Unlock()
}

func (s *shop) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// await returns when so many more orders have ended, and how long that took.
func (s *shop) await(n int) time.Duration {
	s.t.Helper()
	begin := time.Now()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	s.mu.Lock()
	want := s.done + n
	s.mu.Unlock()
	for {
		s.mu.Lock()
		done, more := s.done, s.more
		s.mu.Unlock()
		if done >= want {
			return time.Since(begin)
		}
		select {
		case <-more:
		case <-end.C:
			s.t.Fatalf("%d orders of %d in a minute: %+v", done, want, s.engine.Stats())
		}
	}
}

// halt ends the clients, each with the order it has.
func (s *shop) halt() {
	close(s.stop)
	s.clients.Wait()
}

func (s *shop) close() {
	if s.closed {
		return
	}
	s.closed = true
	if err := s.engine.Close(); err != nil {
		s.t.Error(err)
	}
	if s.runs != nil {
		if err := <-s.runs; err != nil {
			s.t.Error(err)
		}
	}
}
