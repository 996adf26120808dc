package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// maxEvents is how many events one wait may be for.
const maxEvents = 100

// Arrived is an event that came for a WaitForAny or WaitForAll.
type Arrived struct {
	Name string // of the event; empty for the value of OnTimeout
	Key  string // for which it was published; empty if it was sent to the run
	raw  []byte
}

// Decode reads the payload into v, a pointer, as encoding/json does. An error wraps
// ErrPayload and names the field.
func (a Arrived) Decode(v any) error {
	if a.raw == nil {
		return fmt.Errorf("%w: nothing has arrived", ErrPayload)
	}
	if err := decode(a.raw, v, false); err != nil {
		return fmt.Errorf("event %q: %w %T: %w", a.Name, ErrPayload, v, err)
	}
	return nil
}

// Raw is the payload as it is stored; nil if nothing has arrived.
func (a Arrived) Raw() json.RawMessage { return slices.Clone(a.raw) }

// Payload is the payload as a T. An error wraps ErrPayload and names the field.
func Payload[T any](a Arrived) (T, error) {
	var v T
	err := a.Decode(&v)
	return v, err
}

// Arrivals is what came for a WaitForAll.
type Arrivals struct {
	Arrived []Arrived // in the order in which they came
	Missing []string  // after a timeout or CancelWait: what did not come, in the order asked for
	Default Arrived   // after a timeout: the value of OnTimeout, if there is one
}

// Of is what came of that name. If nothing did, its Decode says so.
func (a *Arrivals) Of(name string) Arrived {
	for _, x := range a.Arrived {
		if x.Name == name {
			return x
		}
	}
	return Arrived{}
}

// WaitForAny waits for the first of several events. It takes the one that was accepted
// first, also if it was sent before, and tells which; the others stay for later waits.
//
// At a timeout it returns the value of OnTimeout, with an empty Name, or ErrTimeout. When
// engine.CancelWait ends it the error is a *WaitCancelled.
func WaitForAny(ctx context.Context, names []string, opts ...WaitOption) (Arrived, error) {
	c, err := gather(ctx, "any", names, opts)
	switch {
	case err != nil:
		return Arrived{}, err
	case c.State == journal.Value && len(c.Got) > 0:
		return arrived(c.Got[0]), nil
	case c.State == journal.Withdrawn:
		return Arrived{}, fmt.Errorf("any of %s: %w", strings.Join(names, ", "), withdrawn(c))
	case c.Has:
		return Arrived{raw: c.Data}, nil
	}
	return Arrived{}, fmt.Errorf("any of %s: %w", strings.Join(names, ", "), ErrTimeout)
}

// WaitForAll waits until one event of each name has come, in any order. Of several with
// one name it takes the first; the others stay for later waits.
//
// At a timeout what has come is used up and returned, Missing says what has not, and
// the error is ErrTimeout; with OnTimeout it is nil and Default is that value. When engine.CancelWait
// ends it the same is returned, and the error is a *WaitCancelled. After other errors the Arrivals are nil.
func WaitForAll(ctx context.Context, names []string, opts ...WaitOption) (*Arrivals, error) {
	c, err := gather(ctx, "all", names, opts)
	if err != nil {
		return nil, err
	}
	all := new(Arrivals)
	for _, got := range c.Got {
		all.Arrived = append(all.Arrived, arrived(got))
	}
	if c.State == journal.Value {
		return all, nil
	}
	for _, name := range names {
		if all.Of(name).raw == nil {
			all.Missing = append(all.Missing, name)
		}
	}
	if c.Has {
		all.Default = Arrived{raw: c.Data}
		return all, nil
	}
	why := ErrTimeout
	if c.State == journal.Withdrawn {
		why = withdrawn(c)
	}
	return all, fmt.Errorf("all of %s: %w; what did not come: %s", strings.Join(names, ", "), why, strings.Join(all.Missing, ", "))
}

func arrived(a journal.Arrival) Arrived {
	name, key, _ := readTopic(a.Topic)
	return Arrived{Name: name, Key: key, raw: a.Data}
}

// gather makes a wait for several events.
func gather(ctx context.Context, kind string, names []string, opts []WaitOption) (*journal.Call, error) {
	if err := checkNames(names); err != nil {
		return nil, fmt.Errorf("wait for %s event: %w", kind, err)
	}
	b, key, err := enter(ctx, kind, callName(names))
	if err != nil {
		return nil, err
	}
	if c := b.h.Calls[key]; c != nil && c.State != journal.Partial {
		return c, nil
	}
	o := waiting(opts)
	err = o.only(map[string]takers{"any": forAny, "all": forAll}[kind])
	if err == nil {
		err = o.correlate.check(names...)
	}
	if err != nil {
		return nil, fmt.Errorf("wait for %s of %s: %w", kind, strings.Join(names, ", "), err)
	}
	w := &journal.Wait{Kind: kind, Name: callName(names), All: kind == "all"}
	for _, name := range names {
		w.Topics = append(w.Topics, o.correlate.topic(name))
	}
	req, err := request[any](w, o, b.engine.cfg.MaxPayload)
	if err != nil {
		return nil, err
	}
	return b.wait(ctx, key, req)
}

func checkNames(names []string) error {
	switch {
	case len(names) == 0:
		return fmt.Errorf("%w: it has no names; give the events that it waits for", ErrInvalid)
	case len(names) > maxEvents:
		return fmt.Errorf("%w: it has %d names, the limit is %d", ErrInvalid, len(names), maxEvents)
	}
	for i, name := range names {
		if m := tree.TextMistake(name); m != "" {
			return fmt.Errorf("%w: name %d: %s", ErrInvalid, i+1, m)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%w: the name %q is there twice; for two events of one name wait twice", ErrInvalid, name)
		}
	}
	return nil
}

// callName names a wait for several events: by them, or where that would be too long, by
// the first of them and how many there are.
func callName(names []string) string {
	text := strings.Join(names, "|")
	if len(text) <= tree.MaxName {
		return text
	}
	more := fmt.Sprintf("|… (%d events)", len(names))
	first := names[0]
	for len(first)+len(more) > tree.MaxName {
		_, size := utf8.DecodeLastRuneInString(first)
		first = first[:len(first)-size]
	}
	return first + more
}
