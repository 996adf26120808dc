package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/durable-go/durable/ai"
)

// shop is the outside: orders, a carrier that cannot always be reached, and a bank that takes each key once.
type shop struct {
	mu       sync.Mutex
	asked    int
	payments map[string]Refund // by key
}

// Found is what is known of an order.
type Found struct {
	Order string `json:"order"`
	Euros int    `json:"euros"`
}

func (s *shop) find(_ context.Context, o Order) (Found, error) {
	prices := map[string]int{"17": 20, "18": 30, "19": 400, "20": 900}
	euros, ok := prices[o.Order]
	if !ok {
		return Found{}, fmt.Errorf("there is no order %q", o.Order)
	}
	return Found{o.Order, euros}, nil
}

func (s *shop) track(_ context.Context, o Order) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked++; s.asked%3 == 1 {
		return "", fmt.Errorf("the carrier does not answer") // the model reads it, and asks again
	}
	if o.Order == "17" {
		return "on its way", nil
	}
	return "lost", nil
}

// refund gives money back. The key is the same for each time that this call is tried, so
// the bank pays once, also if this process dies before it has heard so.
func (s *shop) refund(ctx context.Context, r Refund) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.payments == nil {
		s.payments = make(map[string]Refund)
	}
	s.payments[ai.IdempotencyKey(ctx)] = r
	return fmt.Sprintf("%d EUR are on their way", r.Euros), nil
}

// paid is how much each order got back.
func (s *shop) paid() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := make(map[string]int)
	for _, r := range s.payments {
		sums[r.Order] += r.Euros
	}
	return sums
}
