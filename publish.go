package durable

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

const (
	defaultKeep = 24 * time.Hour
	leastKeep   = time.Minute
	mostKeep    = 366 * 24 * time.Hour
)

// Keep is how long a published event waits for a run that asks for it, and how long its
// EventID is known: from a minute to 366 days, 24 hours if it is not given.
func Keep(d time.Duration) ActOption {
	return func(o *actOptions) {
		o.use("Keep", forPublish)
		o.keeps, o.keepFor = true, d
	}
}

// Published is what became of an event that was published.
type Published struct {
	Got       int  `json:"got"`       // runs that have got it
	Kept      bool `json:"kept"`      // nobody has: it waits for the first that asks
	Duplicate bool `json:"duplicate"` // the EventID was known; nothing was changed
}

// Publish sends an event to whoever waits for it, without knowing a run's id: to every
// run that waits for this name with Correlate(key) now, once to each; or else it
// is kept, and the first run that asks for it within Keep gets it, once. Events of
// one name and key are kept in the order in which they came.
//
// With EventID it is safe to repeat: for a name and key an id that was used within Keep has no
// effect, and Published says what has become of the first. Without one, each call is another event.
// Errors: ErrInvalid, ErrTooLarge; ErrUnknown if ctx ended while nobody knew whether it had happened.
func (e *Engine) Publish(ctx context.Context, name, key string, payload any, opts ...ActOption) (Published, error) {
	o, err := acting(forPublish, opts)
	var p store.Publication
	if err == nil {
		p, err = e.publication(name, key, payload, o)
	}
	if err != nil {
		return Published{}, fmt.Errorf("publish %q: %w", name, err)
	}
	res, err := e.runner.Publish(ctx, p)
	if err != nil {
		return Published{}, fmt.Errorf("publish %q for %q: %w", name, key, err)
	}
	return Published{Got: res.Got, Kept: res.Got == 0, Duplicate: res.Code == store.Landed}, nil
}

func (e *Engine) publication(name, key string, payload any, o actOptions) (store.Publication, error) {
	p := store.Publication{Keep: defaultKeep, Dedupe: "event:" + o.id}
	if o.keeps {
		p.Keep = o.keepFor
	}
	if o.id == "" {
		p.Dedupe = "once:" + uuid.NewString()
	}
	if m := tree.TextMistake(name); m != "" {
		return p, fmt.Errorf("%w: the name: %s", ErrInvalid, m)
	}
	if m := tree.TextMistake(key); m != "" {
		return p, fmt.Errorf("%w: the key: %s", ErrInvalid, m)
	}
	if m := tree.TextMistake(o.id); o.id != "" && m != "" {
		return p, fmt.Errorf("%w: the event id: %s", ErrInvalid, m)
	}
	if p.Keep < leastKeep || p.Keep > mostKeep {
		return p, fmt.Errorf("%w: Keep(%s): give %s to %s", ErrInvalid, p.Keep, leastKeep, mostKeep)
	}
	var err error
	p.Topic = publishedTopic(name, key)
	p.Payload, err = e.payload(payload)
	return p, err
}
