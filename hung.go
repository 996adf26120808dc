package durable

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// HungBody is a step, or a question of a node, that goes on although its context has
// ended: by its timeout, a cancel, a lost lease, or since the run no longer needs it.
// A question has no timeout: before anybody has stopped it, it may hang unseen.
type HungBody struct {
	Run      ID        `json:"run"`
	Workflow string    `json:"workflow"`
	Path     string    `json:"path"`
	Queue    string    `json:"queue"` // where it holds a slot
	Worker   string    `json:"worker"`
	Since    time.Time `json:"since"` // when its context ended
	// Left says that the run goes on without it, and what it returns is dropped.
	Left bool `json:"left"`
}

// Hung lists the bodies that ignore the end of their context for 10 s or longer, of all
// live workers, as those said with their last heartbeat: the oldest first, and at most 50
// of each worker. Such a body keeps its slot until it returns, or until the process ends. No next attempt of
// its step and no compensation of its run begins in its process before that; its run stands
// still, until Config.HungAfter has passed since its context ended. Then the run goes on without
// it, in other processes at once: a timeout counts as one and is retried as the step says, the step of
// an AtMostOnce is in doubt, and what the body returns is dropped.
func (e *Engine) Hung(ctx context.Context) ([]HungBody, error) {
	s, err := e.store.Survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("list hung steps: %w", err)
	}
	reports, err := living(s)
	if err != nil {
		return nil, fmt.Errorf("list hung steps: %w", err)
	}
	var list []HungBody
	for _, r := range reports {
		for _, h := range r.Hung {
			list = append(list, HungBody{
				Run: h.ID, Workflow: h.Workflow, Path: h.Path, Queue: h.Queue, Worker: r.Worker, Since: h.Since, Left: h.Left,
			})
		}
	}
	slices.SortStableFunc(list, func(a, b HungBody) int { return a.Since.Compare(b.Since) })
	return list, nil
}
