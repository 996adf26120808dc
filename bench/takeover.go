package main

import (
	"context"
	"syscall"
	"time"

	"github.com/durable-go/durable"
)

// takeover is the time from the end of one worker process to the first step of
// its run on another.
func takeover(ctx context.Context, b *bench, s *section) error {
	lease := b.lease()
	killed := s.metric("kill", "kill -9 to the first step elsewhere, lease "+lease.String(), "s").must(atMost((lease + time.Second).Seconds()))
	stopped := s.metric("stop", "clean stop to the first step elsewhere", "ms").must(atMost(100))
	return b.round(
		ctx,
		func(ctx context.Context) error {
			took, err := b.replace(ctx, syscall.SIGKILL, lease+10*time.Second)
			killed.add(took.Seconds())
			return err
		},
		func(ctx context.Context) error {
			took, err := b.replace(ctx, syscall.SIGTERM, 10*time.Second)
			stopped.addMS(took)
			return err
		},
	)
}

// replace ends the worker that drives a run of endless steps of 2 ms, and waits
// until another, idle until then, executes its first step.
func (b *bench) replace(ctx context.Context, how syscall.Signal, longest time.Duration) (took time.Duration, err error) {
	err = b.pg.schema(ctx, func(schema string) error {
		l := newLibrary(nil)
		e, err := durable.Open(ctx, b.pg.store(schema), durable.Config{Workflows: l.all(), Logger: quiet()})
		if err != nil {
			return err
		}
		defer e.Close()
		one, err := b.worker(ctx, schema, 10)
		if err != nil {
			return err
		}
		defer one.kill()
		if _, err := l.endless.Start(ctx, e, doc{}); err != nil {
			return err
		}
		if _, err := one.firstStep(ctx, 10*time.Second); err != nil {
			return err
		}
		two, err := b.worker(ctx, schema, 10)
		if err != nil {
			return err
		}
		defer two.kill()
		if err := pause(ctx, time.Second); err != nil { // let both become calm
			return err
		}
		start := time.Now()
		if err := one.cmd.Process.Signal(how); err != nil {
			return err
		}
		at, err := two.firstStep(ctx, longest)
		took = at.Sub(start)
		return err
	})
	return took, err
}
