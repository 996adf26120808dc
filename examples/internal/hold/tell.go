package hold

import (
	"context"
	"log"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
)

// patience is for how long a call may fail before that is told.
const patience = 5 * time.Second

// Tell logs why calls of models are not answered, each reason once, until ctx ends. A provider that cannot be reached is asked again and again
// for an hour, and without a word it would look as if nothing happened.
func Tell(ctx context.Context, e *durable.Engine, workflow string) {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	told := make(map[string]bool)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, reason := range unanswered(ctx, e, workflow, time.Now().Add(-patience)) {
			if !told[reason] {
				told[reason] = true
				log.Printf("a model does not answer, and is asked again: %s", reason)
			}
		}
	}
}

// unanswered is why the newest call of each step failed, if that was before a time.
func unanswered(ctx context.Context, e *durable.Engine, workflow string, before time.Time) (reasons []string) {
	newest := make(map[[2]string]ai.CallInfo)
	for c, err := range ai.EachCall(ctx, e, durable.Filter{Workflow: workflow, Statuses: []durable.Status{durable.Pending, durable.Running, durable.Waiting}}) {
		if err != nil {
			return nil // looked for again
		}
		newest[[2]string{c.Execution, c.Path}] = c
	}
	for _, c := range newest {
		if c.Kind != "" && c.Began.Before(before) {
			reasons = append(reasons, c.Error)
		}
	}
	return reasons
}
