package durabletest

import (
	"context"
	"slices"

	"github.com/durable-go/durable"
)

// script is something that happens when a wait opens.
type script struct {
	e     *Engine
	run   durable.ID
	event bool
	name  string
	value any
}

// Answer answers an open input or approval of the run. A refused answer fails
// the test; use ProvideInput of the engine to see the error.
func (r *Started[S]) Answer(name string, value any, opts ...durable.ActOption) {
	r.e.world.t.Helper()
	if err := r.e.ProvideInput(context.Background(), r.ID, name, value, opts...); err != nil {
		r.e.world.t.Fatal(err)
	}
}

// Event sends an event to the run. It is kept until a wait takes it.
func (r *Started[S]) Event(name string, payload any, opts ...durable.ActOption) {
	r.e.world.t.Helper()
	if err := r.e.SendEvent(context.Background(), r.ID, name, payload, opts...); err != nil {
		r.e.world.t.Fatal(err)
	}
}

// WillAnswer scripts an answer: it is given as soon as an input or approval of
// that name is open and the test lets time pass. Each script answers one wait;
// several for one name are used in order.
func (r *Started[S]) WillAnswer(name string, value any) {
	r.e.world.scripts = append(r.e.world.scripts, &script{e: r.e, run: r.ID, name: name, value: value})
}

// WillSend scripts an event in the same way: it is sent once a wait for it, alone or
// among others, is open.
func (r *Started[S]) WillSend(name string, payload any) {
	r.e.world.scripts = append(r.e.world.scripts, &script{e: r.e, run: r.ID, event: true, name: name, value: payload})
}

// play does what is scripted for the waits that are open now.
func (w *world) play() bool {
	w.t.Helper()
	n := len(w.scripts)
	w.scripts = slices.DeleteFunc(w.scripts, func(s *script) bool { return s.play(w) })
	return len(w.scripts) < n
}

// play reports whether the script has been used.
func (s *script) play(w *world) bool {
	w.t.Helper()
	ctx := context.Background()
	waits, err := s.e.OpenWaits(ctx, s.run)
	wait := ""
	i := slices.IndexFunc(waits, func(o durable.OpenWait) bool {
		wait = s.wait(&o)
		return wait != "" && !w.used[wait]
	})
	switch {
	case err != nil || i < 0:
	case s.event:
		err = s.e.SendEvent(ctx, s.run, s.name, s.value, durable.EventID("script:"+wait))
	default:
		err = s.e.ProvideInput(ctx, s.run, wait, s.value)
	}
	switch {
	case err != nil && s.e.link.IsCut():
		return false // again, once the engine is there
	case err != nil:
		w.t.Fatal(err)
	case i >= 0:
		w.used[wait] = true
	}
	return i >= 0
}

// wait names what the script is for: an open wait, or one event of it; "" if it is
// not for this one.
func (s *script) wait(o *durable.OpenWait) string {
	if o.Name == s.name && (o.Kind == "event") == s.event && len(o.Events) == 0 && o.Key == "" {
		return o.ID
	}
	for _, x := range o.Events {
		if s.event && x.Name == s.name && x.Key == "" && !x.Arrived {
			return o.ID + ":" + x.Name
		}
	}
	return ""
}
