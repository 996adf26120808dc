package ai

import (
	"context"
	"maps"
	"math/rand/v2"
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

// shortWait is how long a call waits for its rate before it gives its slot away.
const shortWait = 2 * time.Second

// rates holds back what is asked with a key, in this process.
type rates struct {
	mu    sync.Mutex
	limit map[string]Limit // by pattern: provider:name, or provider:*
	cool  map[string]time.Time
	flows map[string]*flow // by bucket and pattern
}

func newRates(limits map[string]Limit) *rates {
	return &rates{limit: limits, cool: make(map[string]time.Time), flows: make(map[string]*flow)}
}

// flow is what one limit has left. Levels fill up evenly, to what a minute allows.
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
	if f.limit.Concurrent > 0 && f.busy >= f.limit.Concurrent {
		d = max(d, shortWait)
	}
	return d
}

func (f *flow) take(input, output int64) {
	f.requests--
	f.input -= float64(input)
	f.output -= float64(output)
	f.busy++
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

// admit gives leave to send, or says for how long to wait. It waits itself for a moment.
func (r *rates) admit(ctx context.Context, o *opened, input, output int64) (*pass, time.Duration, error) {
	for until := time.Now().Add(shortWait); ; {
		p, d := r.try(o, input, output, time.Now())
		if p != nil {
			return p, 0, nil
		}
		if time.Now().Add(d).After(until) {
			return nil, d + time.Duration(rand.Int64N(int64(d)/10+1)), nil
		}
		if err := sleep(ctx, min(d, 100*time.Millisecond)); err != nil {
			return nil, 0, err
		}
	}
}

func (r *rates) try(o *opened, input, output int64, now time.Time) (*pass, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.cool[o.bucket].Sub(now); d > 0 {
		return nil, d
	}
	flows := r.of(o, now)
	var longest time.Duration
	for _, f := range flows {
		f.fill(now)
		longest = max(longest, f.wait(input, output))
	}
	if longest > 0 {
		return nil, longest
	}
	for _, f := range flows {
		f.take(input, output)
	}
	return &pass{r: r, bucket: o.bucket, flows: flows, input: input, output: output}, 0
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

func (r *rates) coolUntil(bucket string, t time.Time) {
	if r.cool[bucket].Before(t) {
		r.cool[bucket] = t
	}
}

// checkLimits returns what is wrong with limits.
func checkLimits(limits map[string]Limit, wrong func(format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		l := limits[name]
		if provider, rest, ok := strings.Cut(name, ":"); !ok || provider == "" || rest == "" {
			wrong("in Limits: %q reads provider:name, or provider:*", name)
		}
		if l.Requests < 0 || l.Input < 0 || l.Output < 0 || l.Concurrent < 0 {
			wrong("in Limits: %q has a number below zero", name)
		}
		if l == (Limit{}) {
			wrong("in Limits: %q limits nothing", name)
		}
	}
}
