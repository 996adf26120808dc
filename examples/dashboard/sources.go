package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// sources are the systems that are asked. They are slow, one fails now and then, and one
// is down.
type sources struct {
	slow   time.Duration
	failed *atomic.Int32 // calls to the ticket system, of which the first fails
}

var errAway = errors.New("the service is away")

func (s sources) sales(ctx context.Context, _ string) (string, error) {
	return "12,480 EUR", s.think(ctx)
}

func (s sources) stock(ctx context.Context, _ string) (string, error) {
	return "3 articles are low", s.think(ctx)
}

func (s sources) tickets(ctx context.Context, _ string) (string, error) {
	if err := s.think(ctx); err != nil || s.failed.Add(1) == 1 {
		return "", errors.Join(err, errAway)
	}
	return "7 open", nil
}

func (s sources) weather(ctx context.Context, _ string) (string, error) {
	return "", errors.Join(s.think(ctx), errAway)
}

// think takes the time that a real system takes.
func (s sources) think(ctx context.Context) error {
	select {
	case <-time.After(s.slow):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
