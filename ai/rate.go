package ai

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Limit is what may be asked in a minute, and how much at once. Zero fields do not limit.
type Limit struct {
	Requests   int64 // a minute
	Input      int64 // tokens a minute
	Output     int64 // tokens a minute
	Concurrent int   // requests on their way
}

const (
	// shortWait is how long a call waits for its rate before it gives its slot away.
	shortWait = 2 * time.Second
	// lateness is how long a place is kept for a call that does not come when it is its turn.
	lateness = time.Minute
)

// rates holds back what is asked with a key, in this process.
type rates struct {
	mu     sync.Mutex
	limit  map[string]Limit // by pattern: provider:name, or provider:*
	cool   map[string]time.Time
	flows  map[string]*flow  // by bucket and pattern
	places map[string]*place // by call
	swept  time.Time
	learnt map[string]learning // by bucket
}

func newRates(limits map[string]Limit) *rates {
	return &rates{
		limit: limits, cool: make(map[string]time.Time), flows: make(map[string]*flow), places: make(map[string]*place), learnt: make(map[string]learning),
	}
}

// flow is what one limit has left. Levels fill up evenly, to what a minute allows. They are below zero while calls wait whose
// turn is to come.
type flow struct {
	limit                   Limit
	requests, input, output float64
	at                      time.Time
	busy                    int
}

func (f *flow) fill(now time.Time) {
	m := now.Sub(f.at).Minutes()
	f.at = now
	for _, p := range []struct {
		level *float64
		limit int64
	}{{&f.requests, f.limit.Requests}, {&f.input, f.limit.Input}, {&f.output, f.limit.Output}} {
		*p.level = min(*p.level+m*float64(p.limit), float64(p.limit))
	}
}

// wait is how long it takes until so much is there; zero if it is. What is more than a
// whole minute allows waits until all is there, and goes alone.
func (f *flow) wait(input, output int64) time.Duration {
	longest := 0.0 // minutes
	for _, p := range []struct {
		level float64
		limit int64
		need  int64
	}{{f.requests, f.limit.Requests, 1}, {f.input, f.limit.Input, input}, {f.output, f.limit.Output, output}} {
		if p.limit > 0 {
			const little = 1e-9 // of rounding
			if lacks := float64(min(p.need, p.limit)) - p.level; lacks > little*float64(p.limit) {
				longest = max(longest, lacks/float64(p.limit))
			}
		}
	}
	d := time.Duration(longest * float64(time.Minute))
	if longest > 0 {
		d = max(d, time.Millisecond)
	}
	return d
}

func (f *flow) full() bool { return f.limit.Concurrent > 0 && f.busy >= f.limit.Concurrent }

func (f *flow) take(input, output int64) {
	f.requests--
	f.input -= float64(input)
	f.output -= float64(output)
}

// untake gives back what was taken for a request that is not sent.
func (f *flow) untake(input, output int64, now time.Time) {
	f.fill(now)
	f.requests++
	f.input += float64(input)
	f.output += float64(output)
	f.fill(now)
}

// place is that of a call which waits for its rate: what it needs is taken already where there was too little, so that those
// who come later wait behind it, and it waits once.
type place struct {
	held          []*flow // from which its part is taken
	input, output int64
	turn          time.Time
	until         time.Time // then it is another's
}

// pass is the leave to send one request.
type pass struct {
	r             *rates
	bucket        string
	flows         []*flow
	input, output int64
	settled       bool
	released      bool
}

// ticket is what a call asks of the rates.
type ticket struct {
	call          string // keeps its place by that name; empty: it cannot wait, and has none
	input, output int64
	hurry         bool // a person has said that it is to be tried in spite of a cool-down
}

// queue is what a call waits for.
type queue uint8

const (
	ownTurn   queue = iota // it has a place, and will be let in
	freePlace              // one of few places at once, for which others wait, too
	coolDown               // the provider has said so
)

// admit gives leave to send, or says for how long to wait, and for what. It waits itself for a moment.
func (r *rates) admit(ctx context.Context, o *opened, t ticket) (*pass, time.Duration, queue, error) {
	for until := time.Now().Add(shortWait); ; {
		p, d, q := r.try(o, t, time.Now())
		if p != nil {
			return p, 0, q, nil
		}
		nap := d
		if q == freePlace {
			nap = 100 * time.Millisecond // one may be free before
		}
		if time.Now().Add(nap).After(until) {
			return nil, d, q, nil
		}
		if err := sleep(ctx, nap); err != nil {
			r.leave(o, t)
			return nil, 0, q, err
		}
	}
}

func (r *rates) try(o *opened, t ticket, now time.Time) (*pass, time.Duration, queue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	if d := r.cool[o.bucket].Sub(now); d > 0 && !t.hurry {
		return nil, d, coolDown
	}
	name := t.place(o)
	p := r.places[name]
	if p != nil && (p.input != t.input || p.output != t.output) { // it asks for something else now
		r.drop(name, now)
		p = nil
	}
	if p == nil {
		p = &place{input: t.input, output: t.output, turn: now}
	}
	if d := p.turn.Sub(now); d > 0 {
		return nil, d, ownTurn
	}
	flows := r.of(o, now)
	var longest time.Duration
	full := false
	for _, f := range flows {
		f.fill(now)
		full = full || f.full()
		if slices.Contains(p.held, f) {
			continue
		}
		if d := f.wait(t.input, t.output); d > 0 {
			longest = max(longest, d)
			if t.call != "" {
				f.take(t.input, t.output)
				p.held = append(p.held, f)
			}
		}
	}
	switch {
	case longest > 0:
		if t.call != "" {
			p.turn = now.Add(longest)
			p.until = p.turn.Add(lateness)
			r.places[name] = p
		}
		return nil, longest, ownTurn
	case full: // a place that is held is held for longer
		if len(p.held) > 0 {
			p.until = now.Add(longestSpell + lateness)
		}
		return nil, shortWait, freePlace
	}
	delete(r.places, name)
	for _, f := range flows {
		if !slices.Contains(p.held, f) {
			f.take(t.input, t.output)
		}
		f.busy++
	}
	return &pass{r: r, bucket: o.bucket, flows: flows, input: t.input, output: t.output}, 0, ownTurn
}

// place is the name of a call's place with a model.
func (t *ticket) place(o *opened) string {
	return t.call + "\x00" + o.bucket + "\x00" + o.spec.String()
}

// leave gives the place of a call back.
func (r *rates) leave(o *opened, t ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(t.place(o), time.Now())
}

func (r *rates) drop(name string, now time.Time) {
	p := r.places[name]
	if p == nil {
		return
	}
	for _, f := range p.held {
		f.untake(p.input, p.output, now)
	}
	delete(r.places, name)
}

// sweep gives back the places of calls that did not come: their runs were cancelled, or are in other hands.
func (r *rates) sweep(now time.Time) {
	if now.Sub(r.swept).Abs() < time.Second {
		return
	}
	r.swept = now
	for name, p := range r.places {
		if now.After(p.until) {
			r.drop(name, now)
		}
	}
}

// of are the limits that hold for a model.
func (r *rates) of(o *opened, now time.Time) (flows []*flow) {
	for _, pattern := range r.patterns(o) {
		l := r.limit[pattern]
		key := o.bucket + "\x00" + pattern
		f := r.flows[key]
		if f == nil {
			f = &flow{limit: l, requests: float64(l.Requests), input: float64(l.Input), output: float64(l.Output), at: now}
			r.flows[key] = f
		}
		flows = append(flows, f)
	}
	return flows
}

// patterns are the names of the limits that hold for a model.
func (r *rates) patterns(o *opened) (list []string) {
	for _, pattern := range []string{o.spec.where() + ":*", o.spec.String()} {
		if _, ok := r.limit[pattern]; ok {
			list = append(list, pattern)
		}
	}
	return list
}

// used are the tokens that count against a provider's limits.
func used(u *Usage, provider string) (input, output int64) {
	if u == nil {
		return 0, 0
	}
	input = u.Input + u.CacheWrite
	if provider != "anthropic" { // what comes from the cache does not count there
		input += u.CacheRead
	}
	return input, u.Output
}

// settle replaces the estimate by what was used. Without a usage nothing was, but the request.
func (p *pass) settle(u *Usage, h *model.Headroom, provider string) {
	if p == nil {
		return
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.settled {
		return
	}
	p.settled = true
	input, output := used(u, provider)
	now := time.Now()
	for _, f := range p.flows {
		f.fill(now)
		f.input += float64(p.input - input)
		f.output += float64(p.output - output)
		f.fill(now)
	}
	if h != nil {
		p.heed(h, now)
	}
}

// heed lowers what is left to what the provider says is left.
func (p *pass) heed(h *model.Headroom, now time.Time) {
	for _, w := range []model.Window{h.Requests, h.Input, h.Output} {
		if w.Limit > 0 && w.Remaining <= 0 && w.Reset > 0 {
			p.r.coolUntil(p.bucket, now.Add(min(w.Reset, longestQuota)))
		}
	}
	for _, f := range p.flows {
		for _, x := range []struct {
			level *float64
			limit int64
			w     model.Window
		}{{&f.requests, f.limit.Requests, h.Requests}, {&f.input, f.limit.Input, h.Input}, {&f.output, f.limit.Output, h.Output}} {
			if x.limit > 0 && x.w.Limit > 0 {
				*x.level = min(*x.level, float64(x.w.Remaining))
			}
		}
	}
}

// undo gives everything back: nothing is sent.
func (p *pass) undo() {
	if p == nil {
		return
	}
	p.r.mu.Lock()
	if !p.settled {
		p.settled = true
		now := time.Now()
		for _, f := range p.flows {
			f.untake(p.input, p.output, now)
		}
	}
	p.r.mu.Unlock()
	p.release()
}

// release ends the request. It may be called again.
func (p *pass) release() {
	if p == nil {
		return
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.released {
		return
	}
	p.released = true
	for _, f := range p.flows {
		f.busy--
	}
}

// cooling sends nothing with a key until the time has passed.
func (r *rates) cooling(bucket string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.coolUntil(bucket, time.Now().Add(d))
}

// learning is how far this process knows for how long a key has to rest.
type learning uint8

const (
	unknown learning = iota
	looking
	known
)

// learn looks up, once, for how long a key still has to rest because of what was met before this process was there. Others wait
// for who does so. There is no channel in it, so that tests in several bubbles may have one client.
func (r *rates) learn(ctx context.Context, bucket string, look func() (time.Duration, error)) error {
	for {
		r.mu.Lock()
		is := r.learnt[bucket]
		if is == unknown {
			r.learnt[bucket] = looking
		}
		r.mu.Unlock()
		switch is {
		case unknown:
			return r.look(bucket, look)
		case known:
			return nil
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

func (r *rates) look(bucket string, look func() (time.Duration, error)) (err error) {
	var d time.Duration
	is := unknown // after an error, or a panic, the next one looks
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.learnt[bucket] = is; d > 0 {
			r.coolUntil(bucket, time.Now().Add(d))
		}
	}()
	if d, err = look(); err == nil {
		is = known
	}
	return err
}

func (r *rates) coolUntil(bucket string, t time.Time) {
	if r.cool[bucket].Before(t) {
		r.cool[bucket] = t
	}
}

// checkLimits returns what is wrong with limits.
func (c *Client) checkLimits(wrong func(format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(c.rates.limit)) {
		l := c.rates.limit[name]
		if err := c.checkPattern(name); err != nil {
			wrong("in Limits: %w", err)
		}
		if l.Requests < 0 || l.Input < 0 || l.Output < 0 || l.Concurrent < 0 {
			wrong("in Limits: %q has a number below zero", name)
		}
		if l == (Limit{}) {
			wrong("in Limits: %q limits nothing", name)
		}
	}
}

// checkPattern says why a pattern fits no model.
func (c *Client) checkPattern(name string) error {
	provider, _, full := strings.Cut(name, ":")
	aliased := func(alias string) error {
		to, err := c.resolve(alias)
		if err != nil || to.String() == alias {
			return nil
		}
		return fmt.Errorf("%q: %q is an alias, and limits are those of what it leads to: give them to %q, or to %q for all models there", name, alias, to.String(), to.where()+":*")
	}
	if err := aliased(name); err != nil {
		return err
	}
	if !full {
		return fmt.Errorf("%q reads provider:name, or provider:*", name)
	}
	s, err := parse(name, true)
	if err != nil {
		return err
	}
	if _, err = c.provider(s); err != nil {
		if is := aliased(provider); is != nil {
			return is
		}
		return err
	}
	if s.String() != name {
		return fmt.Errorf("%q is what no model is called: it reads %q", name, s.String())
	}
	return nil
}
