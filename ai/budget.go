package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Budget is what calls may cost together. Zero fields do not limit.
type Budget struct {
	Money  Money
	Tokens int64 // in and out, also those from caches
	Calls  int   // requests that were answered, or may have been: all that were sent, but those that were refused
	Fail   bool  // what is over it is an error; without it a person is asked to raise it
}

func (b Budget) limits() bool { return b.Money > 0 || b.Tokens > 0 || b.Calls > 0 }

// onlyMoney says whether the budget cannot be kept if a price is not known.
func (b Budget) onlyMoney() bool { return b.Money > 0 && b.Tokens == 0 && b.Calls == 0 }

// raised is the larger of two budgets, part by part.
func (b Budget) raised(to Budget) Budget {
	if b.Money > 0 {
		b.Money = max(b.Money, to.Money)
	}
	if b.Tokens > 0 {
		b.Tokens = max(b.Tokens, to.Tokens)
	}
	if b.Calls > 0 {
		b.Calls = max(b.Calls, to.Calls)
	}
	return b
}

// spending is what counts against a budget.
type spending struct {
	Money  Money `json:"money,omitempty"` // as far as prices are known
	Tokens int64 `json:"tokens,omitempty"`
	Calls  int   `json:"calls,omitempty"`
}

func (s spending) plus(t spending) spending {
	return spending{s.Money + t.Money, s.Tokens + t.Tokens, s.Calls + t.Calls}
}

func (s spending) minus(t spending) spending {
	return spending{s.Money - t.Money, s.Tokens - t.Tokens, s.Calls - t.Calls}
}

// over names the part of a budget that s is over; "" for none.
func (s spending) over(b Budget) string {
	switch {
	case b.Money > 0 && s.Money > b.Money:
		return "money"
	case b.Tokens > 0 && s.Tokens > b.Tokens:
		return "tokens"
	case b.Calls > 0 && s.Calls > b.Calls:
		return "calls"
	}
	return ""
}

// warns says whether four fifths of a budget are gone.
func (s spending) warns(b Budget) bool {
	return b.Money > 0 && s.Money*5 >= b.Money*4 || b.Tokens > 0 && s.Tokens*5 >= b.Tokens*4 || b.Calls > 0 && s.Calls*5 >= b.Calls*4
}

// purse keeps count of one budget. What is on its way is reserved, so calls beside each other cannot
// overshoot together.
type purse struct {
	mu     sync.Mutex
	of     string // run, or agent NAME
	budget Budget
	spent  spending // reserved parts too
	warned bool
}

func newPurse(of string, b Budget) *purse { return &purse{of: of, budget: b} }

// overrun says that there is no room for a call in a budget.
type overrun struct {
	Of    string   `json:"of"`
	Run   string   `json:"run,omitempty"` // of a run above the one that asks: which
	Part  string   `json:"part"`          // money, tokens, calls
	Limit Budget   `json:"limit"`
	Spent spending `json:"spent"`
	Need  spending `json:"need"`
}

func (o *overrun) Error() string {
	of := o.Of
	if o.Run != "" {
		of += " " + o.Run + ", to which this one belongs,"
	}
	switch o.Part {
	case "money":
		return fmt.Sprintf("the budget of the %s is %s; %s are spent or reserved, and this call may cost %s", of, o.Limit.Money, o.Spent.Money, o.Need.Money)
	case "tokens":
		return fmt.Sprintf("the budget of the %s is %d tokens; %d are spent or reserved, and this call may take %d", of, o.Limit.Tokens, o.Spent.Tokens, o.Need.Tokens)
	}
	return fmt.Sprintf("the budget of the %s is %d calls, and all are made", of, o.Limit.Calls)
}

// reserve takes room for a call, or says why there is none. warn is true the first time that four fifths are gone.
func (p *purse) reserve(need spending) (no *overrun, warn bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	after := p.spent.plus(need)
	if part := after.over(p.budget); part != "" {
		return &overrun{Of: p.of, Part: part, Limit: p.budget, Spent: p.spent, Need: need}, false
	}
	p.spent = after
	warn = !p.warned && after.warns(p.budget)
	p.warned = p.warned || warn
	return nil, warn
}

// add counts what is recorded, whether there was room for it or not.
func (p *purse) add(s spending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent = p.spent.plus(s)
}

// settle replaces what was reserved by what it came to.
func (p *purse) settle(reserved, real spending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent = p.spent.minus(reserved).plus(real)
}

func (p *purse) onlyMoney() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.budget.onlyMoney()
}

func (p *purse) raise(to Budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = p.budget.raised(to)
	p.warned = p.spent.warns(p.budget)
}

// reserved is what a mark holds for its try.
func (m *mark) reserved() spending {
	s := spending{Tokens: m.Input + m.Output, Calls: 1}
	if m.Reserved != nil {
		s.Money = *m.Reserved
	}
	return s
}

// unknown says whether nobody knows what a try has used: it was sent, and no answer or error told. It may have been paid.
func (o *outcome) unknown() bool { return o == nil || o.Interrupted || o.Gone != "" || o.Lost }

// guess is what a try may use, as it was estimated before it was sent.
func (m *mark) guess() *Usage { return &Usage{Input: m.Input, Output: m.Output, Estimated: true} }

// real is what an outcome came to. A try of which nobody knows what it has used keeps what was reserved for it; an
// error that used nothing costs nothing.
func (m *mark) real(o *outcome) spending {
	switch {
	case o.unknown():
		return m.reserved()
	case o.Usage == nil:
		return spending{}
	}
	s := spending{Tokens: o.Usage.Total(), Calls: 1}
	if o.Cost != nil {
		s.Money = *o.Cost
	}
	return s
}

// overBudget asks a person to raise a budget, or fails.
func (a *asking) overBudget(ctx context.Context, m *mark) error {
	no := m.Not.Budget
	e := &Error{Kind: OverBudget, Model: m.Model, Code: no.Part, Err: errors.New(no.Error())}
	if no.Limit.Fail || !a.info.CanWait {
		return a.fail(m, permanent(e))
	}
	a.road.holds++
	answer, err := a.j.Ask(ctx, "ai.hold", Question{
		Prompt:  clip(no.Error(), 500) + ". Raise it, or let the step fail.",
		Details: no,
		Schema: json.RawMessage(`{"type":"object","properties":{"do":{"type":"string","enum":["raise","fail","try again"]},` +
			`"money":{"type":"number","description":"raise to so many dollars"},"tokens":{"type":"integer","description":"raise to so many tokens"},` +
			`"calls":{"type":"integer","description":"raise to so many calls"}},"required":["do"],"additionalProperties":false}`),
		Timed: true, Timeout: min(budgetHold<<min(a.road.holds-1, 10), quotaHold), Default: json.RawMessage(`{"do":"try again"}`),
	})
	if err != nil {
		return err
	}
	var do struct {
		Do     string  `json:"do"`
		Money  float64 `json:"money"`
		Tokens int64   `json:"tokens"`
		Calls  int     `json:"calls"`
	}
	if err := json.Unmarshal(answer, &do); err != nil {
		return fmt.Errorf("ai: the answer to ai.hold cannot be read: %w", err)
	}
	switch do.Do {
	case "fail":
		return a.fail(m, permanent(e))
	case "raise":
		to := Budget{Money: Money(min(do.Money*float64(USD), maxCounted)), Tokens: do.Tokens, Calls: do.Calls}
		if to == (Budget{}) { // without a number: twice as much
			to = Budget{Money: 2 * no.Limit.Money, Tokens: 2 * no.Limit.Tokens, Calls: 2 * no.Limit.Calls}
		}
		return a.raise(ctx, no, to)
	}
	return nil
}

// budgetHold is after which time a call looks by itself whether a budget was raised for another.
const budgetHold = 5 * time.Minute

// raised is the record of a budget of a run that was made larger.
type raised struct {
	Budget
	Run string `json:"run,omitempty"` // whose; empty: this one's
}

// raise makes a budget larger. For a run that is a record of its own, so that it is done once it is begun.
func (a *asking) raise(ctx context.Context, no *overrun, to Budget) error {
	if a.k.purse != nil && a.k.purse.of == no.Of {
		a.k.purse.raise(to)
		return nil
	}
	r, err := record(ctx, a.j, raiseName, func(context.Context) (*raised, error) { return &raised{to, no.Run}, nil })
	if err != nil {
		return err
	}
	b, err := a.bookOf(ctx)
	if err == nil && b != nil {
		err = b.raise(ctx, r)
	}
	return err
}

// raiseName is under which a raised budget of a run is recorded.
const raiseName = "ai:raise"

// book counts what the calls of a run spend, where that is bounded.
type book interface {
	// onlyMoney says whether a call without a price cannot be counted.
	onlyMoney() bool
	// reserve takes room for the try of a mark, and says in it under which name; or says why there is none.
	reserve(ctx context.Context, m *mark) (*overrun, error)
	// unmade forgets what was reserved for a mark that is not made after all, unless whoever makes it anew finds that.
	unmade(m *mark)
	// settle replaces what a mark has reserved by what it came to.
	settle(ctx context.Context, m *mark, real spending)
	// raise makes a budget larger.
	raise(ctx context.Context, to *raised) error
}

// ledgers are the purses of runs in this process whose journals cannot count: those of WithJournal.
type ledgers struct {
	mu   sync.Mutex
	runs map[string]*ledger
}

type ledger struct {
	purse
	epoch int64
	used  time.Time
}

// maxLedgers is how many runs are remembered.
const maxLedgers = 10_000

func (l *ledger) reserve(ctx context.Context, m *mark) (*overrun, error) {
	no, warn := l.purse.reserve(m.reserved())
	if warn {
		warned(ctx, l.of, l.budget)
	}
	return no, nil
}

func (l *ledger) unmade(m *mark) { l.purse.settle(m.reserved(), spending{}) }

func (l *ledger) settle(_ context.Context, m *mark, real spending) {
	l.purse.settle(m.reserved(), real)
}

func (l *ledger) raise(_ context.Context, to *raised) error {
	l.purse.raise(to.Budget)
	return nil
}

func warned(ctx context.Context, of string, b Budget) {
	logger(ctx).Warn("four fifths of a budget of models are spent or reserved", "of", of, "money", b.Money.String(), "tokens", b.Tokens, "calls", b.Calls)
}

// bookOf is what counts for this call, nil if nothing bounds what its run may spend.
func (a *asking) bookOf(ctx context.Context) (book, error) {
	if a.info.Execution == "" || len(a.c.cfg.Budgets) == 0 {
		return nil, nil
	}
	if j, ok := a.j.(counting); ok {
		t, err := a.c.tabs.of(ctx, a.c, j, a.info)
		if err != nil || len(t.bounds) == 0 {
			return nil, err
		}
		return t, nil
	}
	budget := a.c.cfg.Budgets[a.info.Workflow]
	if !budget.limits() {
		return nil, nil
	}
	return a.c.ledgers.of(a.info.Execution, a.info.Epoch, budget), nil
}

func (all *ledgers) of(execution string, epoch int64, b Budget) *ledger {
	all.mu.Lock()
	defer all.mu.Unlock()
	l := all.runs[execution]
	if l == nil || l.epoch != epoch {
		if len(all.runs) >= maxLedgers {
			forget(all.runs, func(l *ledger) time.Time { return l.used })
		}
		l = &ledger{purse: purse{of: "run", budget: b}, epoch: epoch}
		all.runs[execution] = l
	}
	l.used = time.Now()
	return l
}

// forget drops what was not used for the longest time.
func forget[K comparable, V any](m map[K]V, used func(V) time.Time) {
	var oldest K
	first := true
	for k, v := range m {
		if first || used(v).Before(used(m[oldest])) {
			oldest, first = k, false
		}
	}
	delete(m, oldest)
}

// checkBudgets returns what is wrong with budgets.
func (c *Client) checkBudgets(wrong func(format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Budgets)) {
		b := c.cfg.Budgets[name]
		switch {
		case b.Money < 0 || b.Tokens < 0 || b.Calls < 0:
			wrong("in Budgets: %q has a number below zero", name)
		case !b.limits():
			wrong("in Budgets: %q limits nothing", name)
		}
		if !b.onlyMoney() {
			continue
		}
		for _, alias := range slices.Sorted(maps.Keys(c.cfg.Aliases)) {
			s, err := c.resolve(alias)
			if err == nil && !c.priced(s) {
				wrong("in Budgets: %q is of money alone, and the price of %s (%q) is not known: give it Tokens or Calls, too, or its price", name, s, alias)
			}
		}
	}
}

// priced says whether the price of a model is known.
func (c *Client) priced(s spec) bool {
	_, ok := c.prices.of(s.provider, s.name)
	return ok && s.url == ""
}
