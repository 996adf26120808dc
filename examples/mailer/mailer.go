package main

import (
	"context"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// Campaign is one letter to many people.
type Campaign struct {
	Subject string   `json:"subject"`
	People  []string `json:"people"`

	Sent   int      `json:"sent,omitempty"`
	Failed []Bounce `json:"failed,omitempty"`
}

// Bounce is somebody whom the letter did not reach, and why.
type Bounce struct {
	To  string `json:"to"`
	Why string `json:"why"`
}

// Letter is the state of one item: small, since each is stored by itself.
type Letter struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
}

// campaigns is the workflow: a letter to everybody, at most 50 on their way at once. An
// address that does not exist fails for good, a busy server is asked again. Neither
// stops the others: IntoOutcomes takes all ends, the good and the bad.
func campaigns(o *office) *durable.Workflow[Campaign] {
	busy := durable.Retry{MaxAttempts: 5, Base: 50 * time.Millisecond, Max: time.Minute}
	return durable.Define("campaign",
		durable.Each("letters", letters,
			durable.Step("send", func(ctx context.Context, l *Letter) error {
				info, _ := durable.Info(ctx)
				return o.send(info.IdempotencyKey, l.To)
			}).Retry(busy).Queue("mail"),
		).Concurrency(50).IntoOutcomes(count),
	)
}

// letters is asked once; its answer is recorded.
func letters(c *Campaign) []Letter {
	list := make([]Letter, len(c.People))
	for i, to := range c.People {
		list[i] = Letter{To: to, Subject: c.Subject}
	}
	return list
}

// count gets the ends of all letters, in the order of the list.
func count(c *Campaign, ends []durable.Outcome[Letter]) error {
	for _, end := range ends {
		if end.Err != nil {
			c.Failed = append(c.Failed, Bounce{To: end.Value.To, Why: end.Err.Error()})
			continue
		}
		c.Sent++
	}
	if c.Sent == 0 && len(ends) > 0 {
		return fmt.Errorf("not one of %d letters could be sent", len(ends))
	}
	return nil
}
