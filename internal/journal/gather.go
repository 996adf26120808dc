package journal

import (
	"fmt"
	"slices"
)

// gather folds a fact about a wait with several topics, of which something has
// come. What has come is used up, whatever becomes of the wait. Calls are
// replaced and never changed: bodies hold them.
func (p *Place) gather(f *Fact, opened int) error {
	c := p.Calls[f.Call]
	if c == nil {
		c = &Call{State: Partial}
	}
	if c.State != Open && c.State != Partial {
		return fmt.Errorf("%w: %s of call %s at %s, which has ended", ErrCorrupt, f.Kind, f.Call, f.Path)
	}
	next := &Call{State: c.State, Wait: c.Wait, Seq: c.Seq, Got: c.Got}
	switch f.Kind {
	case Gathered, Received:
		next.Got = append(slices.Clip(c.Got), Arrival{f.Topic, f.Data})
		if f.Kind == Received {
			next.State, next.Wait, next.Seq = Value, nil, 0
		}
	case Waited:
		if c.State == Open {
			return fmt.Errorf("%w: call %s at %s is open already", ErrCorrupt, f.Call, f.Path)
		}
		next.State, next.Wait, next.Seq = Open, f.Wait, opened
		p.Open = 0
	case Fired:
		next.State, next.Wait, next.Seq = TimedOut, nil, 0
		if f.Data != nil {
			next.Has, next.Data = true, f.Data
		}
	default:
		return fmt.Errorf("%w: %s of call %s at %s, which waits", ErrCorrupt, f.Kind, f.Call, f.Path)
	}
	p.Calls[f.Call] = next
	return nil
}
