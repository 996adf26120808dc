package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/durable-go/durable"
)

// shop is the outside: orders, a carrier that cannot always be reached, and a bank that
// takes each key once.
type shop struct {
	mu       sync.Mutex
	asked    int
	payments map[string]int // by key
}

var errLine = errors.New("the carrier does not answer")

// tools are small workflows, one each.
func tools(s *shop) map[string]*durable.Workflow[Use] {
	tool := func(name string, fn func(ctx context.Context, u *Use) error) *durable.Workflow[Use] {
		return durable.Define("tool_"+name,
			durable.Step("use", fn).Retry(durable.Retry{MaxAttempts: 5, Base: 50 * time.Millisecond}))
	}
	return map[string]*durable.Workflow[Use]{
		"find_order": tool("find_order", s.find),
		"track":      tool("track", s.track),
		"refund":     tool("refund", s.refund),
		"voucher": tool("voucher", func(_ context.Context, u *Use) error {
			u.Said = fmt.Sprintf("here is a voucher of %d EUR", u.Euros)
			return nil
		}),
	}
}

func (s *shop) find(_ context.Context, u *Use) error {
	prices := map[string]int{"17": 20, "18": 30, "19": 400, "20": 900}
	u.Said = "unknown"
	if euros, ok := prices[u.Order]; ok {
		u.Said = fmt.Sprintf("%d EUR", euros)
	}
	return nil
}

func (s *shop) track(_ context.Context, u *Use) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked++; s.asked%2 == 1 {
		return errLine
	}
	u.Said = "lost since Monday"
	if u.Order == "17" {
		u.Said = "on its way"
	}
	return nil
}

func (s *shop) refund(ctx context.Context, u *Use) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.payments == nil {
		s.payments = make(map[string]int)
	}
	info, _ := durable.Info(ctx)
	s.payments[info.IdempotencyKey] = u.Euros
	u.Said = fmt.Sprintf("You get %d EUR back", u.Euros)
	return nil
}

func (s *shop) paid() (list []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, euros := range s.payments {
		list = append(list, euros)
	}
	return list
}
