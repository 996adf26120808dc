package aitest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Chaos is how often requests fail: each share is a part of all requests, from 0 to 1, and their sum is
// at most 1. None of it is random: the seed, the request's body and how often it came before decide,
// so that the same program gets the same weather twice, whatever order its requests take.
type Chaos struct {
	Seed uint64

	RateLimited float64 // 429, in turn in every form that says when to come back, or without
	Quota       float64 // 429 that waiting does not help
	Overloaded  float64 // 529, or 503
	Broken      float64 // 500
	Silent      float64 // no byte for Hold, then the connection ends
	Slow        float64 // the first byte takes Slowness
	Cut         float64 // the connection ends somewhere in the answer, which is paid
	Inside      float64 // an error in a stream that began well
	BadJSON     float64 // half of the JSON, if JSON was asked for
	Refused     float64 // a refusal
	Length      float64 // half of the answer, as if MaxTokens were reached

	After    time.Duration // what a rate limit asks for; 0 means a second
	Forms    []Form        // in which it does so; none means all
	Hold     time.Duration // 0 means 90 s
	Slowness time.Duration // 0 means 2 s
	Polite   bool          // every rate limit says when to come back
	Most     int           // how often the same body may fail before it is answered; 0 means 3
}

// Weather is bad, and lets every program through that tries again: no quota, no refusals.
func Weather(seed uint64) Chaos {
	return Chaos{
		Seed: seed, RateLimited: 0.10, Overloaded: 0.06, Broken: 0.05, Silent: 0.01, Slow: 0.05,
		Cut: 0.08, Inside: 0.04, BadJSON: 0.04,
	}
}

func (c *Chaos) shares() []share {
	return []share{
		{"rate limited", c.RateLimited},
		{"quota", c.Quota},
		{"overloaded", c.Overloaded},
		{"broken", c.Broken},
		{"silent", c.Silent},
		{"slow", c.Slow},
		{"cut", c.Cut},
		{"inside", c.Inside},
		{"bad JSON", c.BadJSON},
		{"refused", c.Refused},
		{"length", c.Length},
	}
}

type share struct {
	name string
	part float64
}

// check says whether the numbers make sense, and fills in those that are 0.
func (c *Chaos) check() error {
	sum := 0.0
	for _, s := range c.shares() {
		if s.part < 0 || s.part > 1 {
			return fmt.Errorf("aitest: the share %q is %g, which is not from 0 to 1", s.name, s.part)
		}
		sum += s.part
	}
	if sum > 1+1e-9 {
		return fmt.Errorf("aitest: the shares of chaos add up to %g, more than all requests", sum)
	}
	if c.Polite && len(c.Forms) > 0 && !slices.ContainsFunc(c.Forms, func(f Form) bool { return f != NotSaid }) {
		return errors.New("aitest: Forms is NotSaid only, and Polite says that it is always said")
	}
	if c.After < 0 || c.Hold < 0 || c.Slowness < 0 || c.Most < 0 {
		return fmt.Errorf("aitest: a time or number of chaos is negative")
	}
	or := func(d *time.Duration, other time.Duration) {
		if *d == 0 {
			*d = other
		}
	}
	or(&c.After, time.Second)
	or(&c.Hold, 90*time.Second)
	or(&c.Slowness, 2*time.Second)
	if c.Most == 0 {
		c.Most = 3
	}
	return nil
}

// luck is what chance has for one request; without a name, nothing.
type luck struct {
	name  string
	chaos *Chaos
	dice  uint64 // for the details
}

func (c *Chaos) draw(hash string, nth int) luck {
	if c == nil || nth >= c.Most {
		return luck{}
	}
	x := float64(c.dice(hash, nth, 0)>>11) / (1 << 53)
	for _, s := range c.shares() {
		if x < s.part {
			return luck{name: s.name, chaos: c, dice: c.dice(hash, nth, 1)}
		}
		x -= s.part
	}
	return luck{}
}

func (c *Chaos) dice(hash string, nth, what int) uint64 {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, []uint64{c.Seed, uint64(nth), uint64(what)})
	_, _ = h.Write([]byte(hash))
	x := h.Sum64() + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // the finalizer of SplitMix64
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// before is what happens instead of asking the model.
func (l luck) before(r *model.Request) (plan, bool) {
	p := plan{request: r}
	switch l.name {
	case "rate limited":
		p.status, p.text, p.after = http.StatusTooManyRequests, "too many requests", l.chaos.After
		forms := l.chaos.Forms
		if len(forms) == 0 {
			forms = []Form{InSeconds, InMillis, InFraction, AsDate, AsReset, NotSaid}
		}
		if l.chaos.Polite {
			forms = slices.DeleteFunc(slices.Clone(forms), func(f Form) bool { return f == NotSaid })
		}
		p.form = forms[l.dice%uint64(len(forms))]
		if p.form == NotSaid {
			p.after = 0
		}
	case "quota":
		p.status, p.text, p.quota = http.StatusTooManyRequests, "the quota is used up", true
	case "overloaded":
		p.status, p.text = 529, "overloaded"
	case "broken":
		p.status, p.text = http.StatusInternalServerError, "internal server error"
	case "silent":
		p.silent, p.slow = true, l.chaos.Hold
	case "inside":
		p.inside, p.status, p.text = true, 529, "overloaded"
	default:
		return p, false
	}
	return p, true
}

// change is what happens to an answer; false if it is as it was.
func (l luck) change(p *plan) bool {
	if p.answer == nil {
		return false
	}
	half := *p.answer
	half.Message.Text = string([]rune(half.Message.Text)[:len([]rune(half.Message.Text))/2])
	switch l.name {
	case "slow":
		p.slow += l.chaos.Slowness
	case "cut":
		p.cut = 1 + int(l.dice%2_000)
	case "bad JSON":
		if p.request.Schema == nil || p.answer.Stop != model.StopEnd {
			return false
		}
		p.answer = &half
	case "refused":
		p.answer = &model.Response{Message: model.Message{Role: model.Assistant, Text: "I cannot help with that."}, Stop: model.StopRefused, Served: half.Served, Usage: half.Usage}
	case "length":
		half.Message.Calls, half.Stop = nil, model.StopLength
		p.answer = &half
	default:
		return false
	}
	return true
}
