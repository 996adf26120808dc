package sim

import (
	"time"

	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
)

// hungAfter is when a run goes on without a body that ignores the end of its
// context. In half of the simulations that happens.
func (s *Sim) hungAfter() time.Duration {
	return []time.Duration{10 * time.Minute, 2 * second, 10 * time.Minute, 5 * second}[s.Seed%4]
}

// judgeBeside fails if a body begins in a process in which an older one of its
// place still runs.
func (p *process) judgeBeside(v *run.Visit) {
	if v.Question != nil {
		return // asks nothing of the world
	}
	for _, b := range p.bodies {
		if b.v.Execution == v.Execution && b.v.Path == v.Path && b.v.Question == nil {
			p.s.fail("RS-7", "%s begins %s of %s, and an older body of it still runs there", p.name, v.Path, b.w)
		}
		if b.tired && b.v.Execution == v.Execution {
			p.s.mark("a lane goes on beside a body out of time")
		}
	}
}

// tire ends a body's context by its own timeout.
func (b *body) tire() {
	if b.over || b.stopped != nil {
		return
	}
	b.tired = true
	b.stop(run.ErrStepTimeout)
	if b.p.s.Mutant.Hasty {
		b.p.w.Returned(b.v, plan.Ending{Err: stepTimeout(b.v)}, false, b.p.local())
		return
	}
	b.p.w.TimedOut(b.v, b.p.local())
}
