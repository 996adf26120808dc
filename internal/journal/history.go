package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// History is the fold of an execution's facts: its state and, for every place
// where something happened, what it came to. The zero value is not usable; see
// NewHistory.
type History struct {
	Length int    // rows folded
	Live   int    // facts that still count; closed passes and snoozes do not
	Input  []byte // JSON
	Queue  string // the run's own
	State  []byte // compact JSON
	Root   *Place
	Cancel *Fact  // the Cancelled fact, if any
	From   int64  // when the run was to begin; 0: when it was created
	Limit  int64  // microseconds that it may take from then on; 0: no limit
	Late   *Error // its time is over
	Last   int64  // At of the newest fact
	Fails  int    // Failed facts so far: their order
	Opened int    // Waited facts so far: their order

	Undos    []Undo // what is to be undone, last done last
	Numbered int    // how many undos there have been
	Back     *Back  // the run goes back; nil: it does not
	Recall   *Recall
	Origin   *Origin // the run that this one was forked from
}

// Call is the record of one durable call.
type Call struct {
	State CallState `json:"state"`
	Data  []byte    `json:"data,omitempty"` // Value, or the default of TimedOut; Withdrawn: who
	Has   bool      `json:"has,omitempty"`  // TimedOut: Data is a value to return
	Err   *Error    `json:"err,omitempty"`  // Broken; Withdrawn: why
	Wait  *Wait     `json:"wait,omitempty"` // while Open
	Seq   int       `json:"seq,omitempty"`  // order of opening in the run, for first come, first served
	Got   []Arrival `json:"got,omitempty"`  // a wait with Topics: what has come, in the order of acceptance
}

// Arrival is a message that came for a wait with several topics.
type Arrival struct {
	Topic string `json:"topic"`
	Data  []byte `json:"data,omitempty"`
}

// CallState is how a call stands.
type CallState uint8

// The states of a call.
const (
	Open      CallState = 1 // a wait that has not ended
	Value     CallState = 2 // a result, or the payload of a message
	Broken    CallState = 3 // the function of a Do returned an error
	TimedOut  CallState = 4 // the deadline came first
	Withdrawn CallState = 5 // an operator ended the wait
	Partial   CallState = 6 // something of a wait with Topics has come, and the wait was not opened: the body asks again
)

// NewHistory returns the history of nothing.
func NewHistory() *History { return &History{Root: &Place{}} }

// Apply folds a row. Rows come in order; a gap is an error, and so is a fact
// that contradicts what came before.
func (h *History) Apply(r Row) error {
	if r.Seq != h.Length+1 {
		return fmt.Errorf("%w: row %d follows row %d", ErrCorrupt, r.Seq, h.Length)
	}
	for i := range r.Facts {
		if err := h.Fold(&r.Facts[i], r.Seq); err != nil {
			return err
		}
	}
	h.Length = r.Seq
	return nil
}

// change applies the change that a body made to the state that it works on.
func (h *History) change(f *Fact, scope *Place) error {
	now := &h.State
	if scope != nil {
		now = &scope.Own
	}
	old := *now
	if s := f.Step; s != nil && len(s.Before) > 0 && len(old) == len(s.Before) && &old[0] == &s.Before[0] {
		*now = s.After
		return nil
	}
	state, err := Apply(f.Data, old)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, f.Path, err)
	}
	*now = state
	return nil
}

// Fold folds one fact of row seq.
func (h *History) Fold(f *Fact, seq int) error {
	if err := f.check(); err != nil {
		return err
	}
	h.Last = max(h.Last, f.At)
	switch f.Kind {
	case Began:
		return h.began(f)
	case Forked:
		return h.forked(f)
	case Expired:
		if h.Late == nil {
			h.Late = f.Err
		}
		return nil
	case Cancelled:
		if h.Cancel == nil { // the first stands
			h.Cancel = f
		} else if f.Undo && !h.Cancel.Undo { // but that it is to go back was promised, too
			c := *h.Cancel
			c.Undo = true
			h.Cancel = &c
		}
		return nil
	}
	if is, err := h.turn(f); is {
		return err
	}
	if h.Back != nil {
		return h.undone(f)
	}
	if _, _, is := CutUndo(f.Path); is {
		return fmt.Errorf("%w: %s at %s, and the run does not go back", ErrCorrupt, f.Kind, f.Path)
	}
	p, parent, scope := h.place(f.Path)
	if (p.Done || p.Failed) && f.Kind != Handed {
		return fmt.Errorf("%w: %s at %s, which has ended", ErrCorrupt, f.Kind, f.Path)
	}
	h.count(p, f)
	h.note(p, f)
	switch f.Kind {
	case Done:
		if err := h.change(f, scope); err != nil {
			return err
		}
		p.Done = true
		p.close()
		h.join(p, parent, f.Path)
		h.jump(p, parent, f)
	case Failed:
		h.Fails++
		p.Failed, p.LastErr, p.FailedSeq = true, f.Err, h.Fails
		p.close()
	case Closed:
		h.closed(p, parent, f)
	case Cleared:
		if p.Calls[InDoubtCall] != nil { // a person knows about the crashes; Reconcile does not
			p.Crashed, p.Lost = nil, 0
		}
		p.InDoubt, p.Asked, p.Until = false, 0, 0
		delete(p.Calls, InDoubtCall)
	case Answered:
		return h.answered(p, parent, f)
	default:
		return h.visited(p, f)
	}
	return nil
}

// answered folds the answer to a question.
func (h *History) answered(p, parent *Place, f *Fact) error {
	p.Answer = f.Answer
	switch {
	case f.Answer.Way == WayItems && f.Answer.Spread:
		p.Spread = &Spread{At: f.At}
	case f.Answer.Way == WayItems:
		return p.list(f)
	case f.Answer.Way == WayAgain && f.Answer.Pass > 0:
		h.forget(parent, f)
	}
	return nil
}

// visited folds a fact that concerns one visit only.
func (h *History) visited(p *Place, f *Fact) error {
	switch f.Kind {
	case Tried:
		p.tried(f)
	case Delayed:
		p.delayed(f)
	case Handed:
		p.handed(f)
	case Scattered:
		return h.scattered(p, f)
	case Altered:
		return p.alter(f)
	case Called, Waited, Received, Fired, Revoked, Gathered:
		p.Crashed = nil // something new happened: no longer "in a row"
		if f.Kind == Waited {
			h.Opened++
		}
		return p.call(f, h.Opened)
	default:
		return fmt.Errorf("%w: fact kind %d", ErrCorrupt, f.Kind)
	}
	return nil
}

// check refuses facts that lack what their kind needs.
func (f *Fact) check() error {
	switch {
	case f.Kind == Began || f.Kind == Forked || f.Kind == Expired || f.Kind == Cancelled || f.Kind == Turned || f.Kind == Halted || f.Kind == Revived || f.Kind == Recalled:
	case f.Path == "":
		return fmt.Errorf("%w: %s without a path", ErrCorrupt, f.Kind)
	case f.Kind == Answered && f.Answer == nil, f.Kind == Waited && f.Wait == nil, f.Kind == Altered && f.Note == nil:
		return fmt.Errorf("%w: %s at %s lacks its object", ErrCorrupt, f.Kind, f.Path)
	}
	return nil
}

func (h *History) began(f *Fact) error {
	state, err := Compact(f.Data)
	if err != nil && len(f.Data) > 0 {
		return fmt.Errorf("%w: the input: %w", ErrCorrupt, err)
	}
	h.Input, h.State, h.Queue = f.Data, state, f.Call
	h.From, h.Limit = f.Until, f.Limit
	return nil
}

// place finds or makes the place of a path, its parent, and the place whose
// state a body there works on: nil for the run's own.
func (h *History) place(path string) (p, parent, scope *Place) {
	p, parent = h.Root, nil
	for whole := path; path != ""; {
		element, rest, _ := strings.Cut(path, "/")
		way := strings.HasSuffix(element, "]") // not a node, a way into one
		child := p.Child(element)
		if child == nil {
			child = &Place{path: whole[:len(whole)-len(path)+len(element)]}
			p.Put(element, child)
			if way {
				h.enter(p, child, scope, element)
			} else {
				p.Newest, p.Next = element, ""
			}
		} else if element == p.Next { // not by a late report of another body
			p.Next = ""
		}
		if way && child.Own != nil {
			scope = child
		}
		child.turns++
		p, parent, path = child, p, rest
	}
	return p, parent, scope
}

// At returns the place of a path, nil if nothing happened there.
func (h *History) At(path string) *Place {
	if u := h.UndoAt(path); u != nil {
		return u.Place
	}
	p := h.Root
	for path != "" && p != nil {
		element, rest, _ := strings.Cut(path, "/")
		p, path = p.Child(element), rest
	}
	return p
}

// Tried tells whether a body at a path has begun, in the visit that there is.
func (h *History) Tried(path string) bool {
	p := h.At(path)
	return p != nil && p.Attempt > 0
}

// count counts live facts. A visit that is only put off again and again does
// not grow, nor does a loop's question that is answered again and again:
// nothing of it needs to be kept.
func (h *History) count(p *Place, f *Fact) {
	switch {
	case f.Kind == Scattered, f.Kind == Recalling,
		f.Kind == Tried && p.Snoozed,
		f.Kind == Delayed && f.Why == BySnooze && p.Live > 1,
		f.Kind == Answered && p.Answer != nil,
		f.Kind == Altered:
		return
	}
	p.Live++
	h.Live++
}

// forget drops the pass that has ended when the next one begins.
func (h *History) forget(parent *Place, f *Fact) {
	name := f.Path
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	key := name + "[" + strconv.Itoa(f.Answer.Pass-1) + "]"
	if old := parent.Child(key); old != nil {
		h.Live -= old.live()
		parent.forget(func(element string, _ *Place) bool { return element == key })
	}
}

func (p *Place) live() int {
	n := p.Live
	for _, c := range p.Children() {
		n += c.live()
	}
	return n
}

func (p *Place) tried(f *Fact) {
	p.Attempt, p.Open, p.TriedAt = f.Attempt, f.Epoch, f.At
	p.Paused, p.Snoozed, p.Until = false, false, 0
}

// close ends the visit: what only a running body needs is let go.
func (p *Place) close() {
	p.Open, p.Until, p.Paused, p.InDoubt = 0, 0, false, false
	p.Calls, p.Spread = nil, nil
}

func (p *Place) delayed(f *Fact) {
	p.Open, p.Until, p.Paused, p.Snoozed = 0, f.Until, true, f.Why == BySnooze
	switch f.Why {
	case ByError:
		p.Failures++
		p.Crashed = nil
		p.LastErr = f.Err
		p.dropBroken()
	case ByCrash:
		p.Crashed = append(p.Crashed, f.Epoch)
		p.Died++
		p.LastErr = f.Err
		p.InDoubt = true
	case ByLoss:
		p.Lost++
		p.InDoubt = true
		p.LastErr = f.Err
	case ByAsking:
		p.Asked++
		p.LastErr = f.Err
	case BySnooze:
		p.Crashed = nil
	}
}

// handed takes back a crash that was none: its worker reported that it had
// stopped the body in order.
func (p *Place) handed(f *Fact) {
	if p.Open == f.Epoch {
		p.Open, p.Paused, p.Until, p.InDoubt = 0, true, 0, true
		return
	}
	if i := slices.Index(p.Crashed, f.Epoch); i >= 0 {
		p.Crashed = slices.Delete(p.Crashed, i, i+1)
		p.Died--
	}
}

func (p *Place) call(f *Fact, opened int) error {
	if p.Calls == nil {
		p.Calls = make(map[string]*Call)
	}
	c := p.Calls[f.Call]
	if c != nil && c.State == Partial || f.Topic != "" {
		return p.gather(f, opened)
	}
	switch {
	case f.Kind == Called && c == nil:
		c = &Call{State: Value, Data: f.Data, Err: f.Err}
		if f.Err != nil {
			c.State = Broken
		}
		p.Calls[f.Call] = c
	case f.Kind == Waited && c == nil:
		p.Calls[f.Call] = &Call{State: Open, Wait: f.Wait, Seq: opened}
		p.Open = 0 // the body has ended its goroutine: nothing runs
	case f.Kind == Received && (c == nil || c.State == Open):
		p.Calls[f.Call] = &Call{State: Value, Data: f.Data, Err: f.Err}
		if f.Err != nil { // a child that did not complete: like a Do, it belongs to its attempt
			p.Calls[f.Call].State = Broken
		}
	case f.Kind == Revoked && c != nil && c.State == Open:
		p.Calls[f.Call] = &Call{State: Withdrawn, Err: f.Err, Data: f.Data, Got: c.Got}
	case f.Kind == Fired && (c == nil || c.State == Open):
		timed := &Call{State: TimedOut}
		if c != nil {
			timed.Got = c.Got
		}
		if c != nil && c.Wait.HasValue {
			timed.Has, timed.Data = true, c.Wait.Default
		} else if c == nil && f.Data != nil {
			timed.Has, timed.Data = true, f.Data
		}
		p.Calls[f.Call] = timed
	default:
		return fmt.Errorf("%w: %s of call %s at %s, which has ended", ErrCorrupt, f.Kind, f.Call, f.Path)
	}
	return nil
}
