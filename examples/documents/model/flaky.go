package model

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"
)

// ErrRateLimited means that the model was asked too often; the same question will be
// answered later. It is wrapped in a *RateLimitError.
var ErrRateLimited = errors.New("model: rate limited")

// RateLimitError is a refusal that says when to come back.
type RateLimitError struct {
	After time.Duration
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("%v, try again in %v", ErrRateLimited, e.After)
}

// Unwrap makes errors.Is find ErrRateLimited.
func (e *RateLimitError) Unwrap() error { return ErrRateLimited }

// RetryAfter is how long the model wants to be left alone.
func (e *RateLimitError) RetryAfter() time.Duration { return e.After }

// Trouble says how slow and how unreliable a Flaky is. All of it is artificial, and none
// of it random: seed, question and text alone decide, so a demo goes the same way twice.
type Trouble struct {
	Seed     uint64
	Min, Max time.Duration // each call takes a time from Min to Max; zero: no time
	Percent  int           // of 100 pairs of question and text, how many are refused at first
	Times    int           // how often such a pair is refused before it is answered; 0 means once
	After    time.Duration // what the refusal asks for
	// Wait passes the time of a call; it returns early with ctx's error. Nil is a timer.
	Wait func(ctx context.Context, d time.Duration) error
}

// Flaky is a Model that behaves like one behind a network: it takes its time and is at
// times over its limit. The answers are those of the Model within, unchanged.
//
// It counts refusals in memory. A new process, and one that has seen very many texts,
// counts anew, so a text may be refused again after a restart.
type Flaky struct {
	model   Model
	trouble Trouble

	mu      sync.Mutex
	refused map[uint64]int
}

// NewFlaky wraps m. Flaky is safe for concurrent use if m is.
func NewFlaky(m Model, t Trouble) *Flaky {
	if t.Wait == nil {
		t.Wait = wait
	}
	if t.Times == 0 {
		t.Times = 1
	}
	return &Flaky{model: m, trouble: t, refused: map[uint64]int{}}
}

// Classify implements Model.
func (f *Flaky) Classify(ctx context.Context, text string) (Classification, error) {
	if err := f.call(ctx, "classify", text); err != nil {
		return Classification{}, err
	}
	return f.model.Classify(ctx, text)
}

// ExtractInvoice implements Model.
func (f *Flaky) ExtractInvoice(ctx context.Context, text string) (Invoice, error) {
	if err := f.call(ctx, "invoice", text); err != nil {
		return Invoice{}, err
	}
	return f.model.ExtractInvoice(ctx, text)
}

// ExtractContract implements Model.
func (f *Flaky) ExtractContract(ctx context.Context, text string) (Contract, error) {
	if err := f.call(ctx, "contract", text); err != nil {
		return Contract{}, err
	}
	return f.model.ExtractContract(ctx, text)
}

// call waits as long as this question takes, then refuses it or not.
func (f *Flaky) call(ctx context.Context, question, text string) error {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s\n%s", f.trouble.Seed, question, text)
	key := h.Sum64()
	d := f.trouble.Min
	if spread := f.trouble.Max - f.trouble.Min; spread > 0 {
		d += time.Duration(mix(key) % uint64(spread+1))
	}
	if err := f.trouble.Wait(ctx, d); err != nil {
		return err
	}
	if int(mix(key+1)%100) >= f.trouble.Percent || !f.refuse(key) {
		return nil
	}
	return &RateLimitError{After: f.trouble.After}
}

func (f *Flaky) refuse(key uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.refused) >= maxRecall {
		clear(f.refused)
	}
	if f.refused[key] >= f.trouble.Times {
		return false
	}
	f.refused[key]++
	return true
}

// mix spreads a hash over all bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
