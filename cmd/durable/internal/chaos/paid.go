package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
)

// till is the ledger of the model's server. It is in the process that kills, and so survives all that die.
type till struct {
	mu    sync.Mutex
	calls []aitest.Call
}

func (t *till) seen(c aitest.Call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = append(t.calls, c)
}

func (t *till) all() []aitest.Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.calls)
}

// Bill is what the model's server was paid for, held against the journals.
type Bill struct {
	Requests int `json:"requests"` // that the server got
	Paid     int `json:"paid"`     // answers that it generated, whether or not they arrived
	Recorded int `json:"recorded"` // of them, answers that are in a journal
	Broken   int `json:"broken"`   // of them, answers that the server itself broke off
	CutOff   int `json:"cut_off"`  // of them, answers to a process that was killed, or lost its lease: the journal has the try as interrupted
	Twice    int `json:"twice"`    // of them, answers that nothing explains: they were paid although they were there

	PossiblyPaid int      `json:"possibly_paid"` // tries that the journals have as interrupted, whatever became of them
	Replayed     int      `json:"replayed"`      // recorded answers that were used again by a body that began anew
	Refused      int      `json:"refused"`       // requests without an answer, which cost nothing
	Usage        ai.Usage `json:"usage"`         // of what was paid
	Cost         string   `json:"cost"`
}

// question is one that a step asks: each has to be paid once.
type question struct{ step, hash string }

// bill holds the server's ledger against the journals of the runs.
func (v *Verdict) bill(ctx context.Context, e *durable.Engine, tasks []task, ledger []aitest.Call) error {
	b := &v.Bill
	var journal []ai.CallInfo
	for _, t := range tasks {
		calls, err := ai.Calls(ctx, e, t.run)
		if errors.Is(err, durable.ErrNotFound) {
			continue // it is lost, and judge says so
		}
		if err != nil {
			return err
		}
		journal = append(journal, calls...)
	}
	s := b.read(journal)
	have := make(map[question]string) // the request whose answer is recorded
	for _, c := range ledger {
		b.Requests++
		if !c.Paid {
			b.Refused++
			continue
		}
		b.Paid++
		b.Usage = b.Usage.Add(c.Usage)
		q := question{c.For, c.Hash}
		switch {
		case s.recorded[c.RequestID]:
			delete(s.recorded, c.RequestID)
			if have[q] != "" {
				b.twice(v, c, "its step has the answer already, of request "+have[q])
				continue
			}
			if b.Recorded++; !s.afresh[c.RequestID] {
				have[q] = c.RequestID
			}
		case s.failed[c.RequestID] || c.Fault == "cut":
			b.Broken++
		case s.cut[c.For] > 0:
			s.cut[c.For]--
			b.CutOff++
		default:
			b.twice(v, c, "no journal has the answer, or a try that was interrupted")
		}
	}
	for id := range s.recorded {
		v.Unexplained = append(v.Unexplained, fmt.Sprintf("the answer of request %s is in a journal, and the server has sent none", id))
	}
	return nil
}

// said is what the journals say of requests.
type said struct {
	recorded map[string]bool // by request
	failed   map[string]bool
	cut      map[string]int  // by step: tries that are interrupted
	afresh   map[string]bool // answers that their step has rejected
}

// read takes what the journals say into the bill.
func (b *Bill) read(journal []ai.CallInfo) said {
	s := said{recorded: make(map[string]bool), failed: make(map[string]bool), cut: make(map[string]int), afresh: make(map[string]bool)}
	var cost ai.Cost
	for i := range journal {
		c := &journal[i]
		switch {
		case c.Unsent:
			continue
		case c.PossiblyPaid && c.Kind == "":
			b.PossiblyPaid++
			s.cut[c.Execution+"/"+c.Path]++
		case c.Answered:
			s.recorded[c.RequestID] = true
			s.afresh[c.RequestID] = c.Superseded
			cost = cost.Add(*c.Cost)
		default:
			s.failed[c.RequestID] = true
		}
		if c.Replayed {
			b.Replayed++
		}
	}
	b.Cost = cost.String()
	return s
}

func (b *Bill) twice(v *Verdict, c aitest.Call, why string) {
	b.Twice++
	v.Unexplained = append(v.Unexplained, fmt.Sprintf("request %s of step %s was paid: %s", c.RequestID, c.For, why))
}
