package durable

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// Config is how an engine works. The zero value of every field means its
// default.
type Config struct {
	// Workflows are the definitions that this engine can start and run.
	Workflows []Definition
	// Queues that this engine serves, by name. "default" is always there.
	Queues map[string]Queue
	// Name labels this worker for people; default host name and process id.
	Name string
	// Lease is how long other workers wait after this one's last sign of life
	// before they take over its runs; default 10 s, at least 500 ms. It is
	// renewed every 0.3 of it.
	Lease time.Duration
	// ShutdownGrace is how long running steps may go on when Run's context
	// ends, before their contexts end too; default 30 s, negative: none.
	ShutdownGrace time.Duration
	// HungAfter is how long a step may go on after its context has ended before its
	// run goes on without it, see Engine.Hung; default 10 min.
	HungAfter time.Duration
	// MaxPayload is the limit of each input, state, event, answer and result,
	// in bytes of JSON; default 1 MiB, at most 16 MiB.
	MaxPayload int
	// OnNotice is told of reminders and escalations of waits, see Reminder. It is
	// called on a goroutine of its own, once, by the engine that has recorded the notice, and
	// not at all if that process dies at this moment: PendingInputs shows what is recorded.
	// Close waits for it.
	OnNotice func(Notice)
	// Logger takes what the engine and its steps log; default slog.Default. What the workers say is
	// written in order on a goroutine of its own, for which the end of Run and Close wait up to 5 s: a handler that is slow
	// holds up no run, and may call the engine. At most 1,000 such entries wait; what is too much is counted, and dropped.
	Logger *slog.Logger
}

// Elsewhere declares a queue that this engine does not serve but other workers
// do: Queues{"gpu": durable.Elsewhere}.
var Elsewhere = Queue{Concurrency: -1} // lint:var a constant of struct type

// Defaults and limits. One table, so that nothing has two values.
const (
	defaultQueue       = "default"
	defaultConcurrency = 10
	defaultPoll        = time.Second
	defaultLease       = 10 * time.Second
	minLease           = 500 * time.Millisecond
	defaultGrace       = 30 * time.Second
	defaultHung        = 10 * time.Minute
	defaultPayload     = 1 << 20
	maxPayload         = 16 << 20
	maxInbox           = 1000
	maxFacts           = 10_000
	maxTags            = 32
	maxPriority        = 1000
	maxRate            = 100_000
	minRateSpan        = time.Millisecond
)

// check fills defaults and collects mistakes.
func (c *Config) check(e *DefinitionError) {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		c.Name = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.Lease < minLease {
		e.add("Config.Lease", fmt.Sprintf("%s is too short; give at least %s", c.Lease, minLease))
	}
	switch {
	case c.ShutdownGrace == 0:
		c.ShutdownGrace = defaultGrace
	case c.ShutdownGrace < 0:
		c.ShutdownGrace = 0
	}
	if c.HungAfter == 0 {
		c.HungAfter = defaultHung
	}
	if c.HungAfter < 0 {
		e.add("Config.HungAfter", fmt.Sprintf("%s is negative; give a positive duration, or 0 for %s", c.HungAfter, defaultHung))
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = defaultPayload
	}
	if c.MaxPayload < 0 || c.MaxPayload > maxPayload {
		e.add("Config.MaxPayload", fmt.Sprintf("%d is not between 1 and %d bytes", c.MaxPayload, maxPayload))
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.checkQueues(e)
}

func (c *Config) checkQueues(e *DefinitionError) {
	queues := map[string]Queue{defaultQueue: {}}
	for name, q := range c.Queues {
		where := fmt.Sprintf("Config.Queues[%q]", name)
		if m := tree.TextMistake(name); m != "" {
			e.add(where, "the name is bad: "+m)
		}
		if q.Concurrency < 0 && q != Elsewhere {
			e.add(where, fmt.Sprintf("Concurrency is %d; give a positive number, or use durable.Elsewhere", q.Concurrency))
		}
		if q.PollInterval < 0 {
			e.add(where, "PollInterval is negative")
		}
		q.check(where, e)
		queues[name] = q
	}
	for name, q := range queues {
		if q.Concurrency == 0 {
			q.Concurrency = defaultConcurrency
		}
		if q.PollInterval == 0 {
			q.PollInterval = defaultPoll
		}
		queues[name] = q
	}
	c.Queues = queues
}

// declared tells whether runs and steps may name the queue.
func (c *Config) declared(name string) bool {
	_, ok := c.Queues[name]
	return ok
}

// served is the queues that this process works for.
func (c *Config) served() map[string]run.Queue {
	m := make(map[string]run.Queue)
	for name, q := range c.Queues {
		if q.Concurrency > 0 {
			m[name] = run.Queue{Concurrency: q.Concurrency, Global: q.Global, Rate: run.Rate(q.Rate), PollInterval: q.PollInterval}
		}
	}
	return m
}
