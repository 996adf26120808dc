package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// spread drives a spread Each of so many items in a random order of what may happen, and
// checks each plan: no item begins twice or out of order, no more than ahead are open, nothing
// begins after a failure that ends it, and all ends with the join or the failure.
func spread(eval func(*tree.Workflow, *journal.History) plan.Plan, rnd *rand.Rand, total, ahead int, settle bool) error {
	n := &tree.Node{Kind: tree.Each, Name: "e", Body: []*tree.Node{step("s")}, Spread: true, Joins: true, Settle: settle, Concurrency: ahead}
	w := workflow(n)
	h := journal.NewHistory()
	seq := 0
	add := func(f journal.Fact) error {
		seq++
		return h.Apply(journal.Row{Seq: seq, Facts: []journal.Fact{f}})
	}
	if err := add(journal.Fact{Kind: journal.Began, Data: []byte(`{}`)}); err != nil {
		return err
	}
	begun, open, broken := 0, []int{}, false
	for range 10*total + 10 {
		p := eval(w, h)
		var q *plan.Question
		if len(p.Questions) == 1 {
			q = &p.Questions[0]
		}
		switch {
		case p.Outcome == plan.Failed:
			if !broken || settle {
				return fmt.Errorf("failed, and nothing did")
			}
			return nil
		case len(p.Facts) == 1 && p.Facts[0].Kind == journal.Failed:
			if err := add(p.Facts[0]); err != nil {
				return err
			}
			continue
		case broken && !settle:
			return fmt.Errorf("goes on after a failure: %+v", p)
		case q != nil && q.Join:
			if begun != total || len(open) > 0 {
				return fmt.Errorf("joined with %d of %d begun and %d open", begun, total, len(open))
			}
			return nil
		case q != nil && q.Spread == nil:
			if err := add(journal.Fact{Kind: journal.Answered, Path: "e", Answer: &journal.Answer{Way: journal.WayItems, Items: total, Spread: true}}); err != nil {
				return err
			}
			continue
		case q != nil && (len(open) == 0 || rnd.IntN(2) == 0):
			if q.Spread.From != begun || q.Spread.Count < 1 || len(open)+q.Spread.Count > n.Ahead() {
				return fmt.Errorf("%d are begun, %d open: begin %+v", begun, len(open), q.Spread)
			}
			k := 1 + rnd.IntN(q.Spread.Count)
			for range k {
				open = append(open, begun)
				begun++
			}
			if err := add(journal.Scatter("e", journal.Spreading{From: begun - k, Begun: k}, nil, 0)); err != nil {
				return err
			}
			continue
		}
		if len(open) == 0 {
			return fmt.Errorf("stands still: %+v", p)
		}
		if len(p.Spreads) != 1 || p.Spreads[0].Spread.Open() != len(open) {
			return fmt.Errorf("%d are open: %+v", len(open), p.Spreads)
		}
		rnd.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
		k := 1 + rnd.IntN(len(open))
		s := journal.Spreading{Ended: journal.Ranges(append([]int(nil), open[:k]...))}
		var err *journal.Error
		if rnd.IntN(4*total) == 0 {
			s.Failed, err, broken = []journal.Range{{open[0], open[0]}}, &journal.Error{Code: "no"}, true
		}
		open = open[k:]
		if err := add(journal.Scatter("e", s, err, 0)); err != nil {
			return err
		}
	}
	return fmt.Errorf("no end after %d facts", seq)
}

func TestEA6_EA2_EveryOrderOfSpreadItems(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		total := rnd.IntN(30)
		ahead, settle := rnd.IntN(6), rnd.IntN(2) == 0
		if err := spread(plan.Eval, rnd, max(total, 1), ahead, settle); err != nil {
			t.Fatalf("%d items, %d ahead, settle %v: %v", total, ahead, settle, err)
		}
	}
	for name, spoil := range map[string]func(p *plan.Plan){
		"one too many begins": func(p *plan.Plan) {
			for i := range p.Questions {
				if s := p.Questions[i].Spread; s != nil && !p.Questions[i].Join {
					s.Count++
				}
			}
		},
		"an item is left out": func(p *plan.Plan) {
			for i := range p.Questions {
				if s := p.Questions[i].Spread; s != nil && !p.Questions[i].Join && s.From > 0 {
					s.From++
				}
			}
		},
		"it is joined too early": func(p *plan.Plan) {
			for i := range p.Questions {
				if s := p.Questions[i].Spread; s != nil && s.From > 0 {
					p.Questions[i].Join = true
				}
			}
		},
		"a failure is overlooked": func(p *plan.Plan) {
			if len(p.Facts) > 0 {
				p.Facts = nil
			}
		},
	} {
		eval := func(w *tree.Workflow, h *journal.History) plan.Plan {
			p := plan.Eval(w, h)
			spoil(&p)
			return p
		}
		caught := false
		for range 2000 {
			caught = caught || spread(eval, rnd, 1+rnd.IntN(30), rnd.IntN(6), rnd.IntN(2) == 0) != nil
		}
		if !caught {
			t.Errorf("%s: not caught", name)
		}
	}
}

// A deploy that changes Spread has no place for items that have begun.
func TestEA6_VR3_ChangedSpread(t *testing.T) {
	for _, now := range []bool{false, true} {
		n := &tree.Node{Kind: tree.Each, Name: "e", Body: []*tree.Node{step("s")}, Spread: now}
		before := &tree.Node{Kind: tree.Each, Name: "e", Body: []*tree.Node{step("s")}, Spread: !now}
		h := journal.NewHistory()
		f := journal.Fact{Kind: journal.Answered, Path: "e", Answer: &journal.Answer{Way: journal.WayItems, Items: 1, Spread: !now}, Data: []byte(`[1]`)}
		if err := h.Apply(journal.Row{Seq: 1, Facts: []journal.Fact{{Kind: journal.Began, Data: []byte(`{}`)}, f}}); err != nil {
			t.Fatal(err)
		}
		if p := plan.Eval(workflow(n), h); p.Outcome != plan.Blocked {
			t.Errorf("spread now %v: %+v", now, p)
		}
		if tree.Fingerprint(workflow(n)) == tree.Fingerprint(workflow(before)) {
			t.Error("the fingerprint does not tell")
		}
	}
}
