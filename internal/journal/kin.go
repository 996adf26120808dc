package journal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Children that have completed and have something to undo are undone with their parent: each
// stands in the list of undos behind the step that called it, so that it comes after the
// undo of that step, and moves with it. Facts that tell of such an end carry a mark.
//
// Children that had not ended when the run turned back stand there, too. Nobody knows
// whether they have anything to undo.

// Kin is the children of one entry in the list of undos: one that was called, which is number 0,
// or items of a spread Each.
type Kin struct {
	Child  string  `json:"child,omitempty"`  // the id of the one that was called
	At     int64   `json:"at,omitempty"`     // else of which list the items are, see Spread
	Open   bool    `json:"open,omitempty"`   // they had not ended
	Todo   []Range `json:"todo,omitempty"`   // have not been told to go back
	Told   []Range `json:"told,omitempty"`   // have been, and have not answered
	Failed []Range `json:"failed,omitempty"` // could not go back
	Err    *Error  `json:"err,omitempty"`    // of the first of those
}

// Ordered is what a Recalling fact says, as its Data.
type Ordered struct {
	Told   []Range `json:"told,omitempty"`   // are told to go back
	Undone []Range `json:"undone,omitempty"` // have gone back, or have nothing to undo
	Failed []Range `json:"failed,omitempty"` // could not; Err is of the first
}

// Recall says that the run's parent has told it to go back.
type Recall struct {
	Round int    `json:"round"` // the newest order
	Err   *Error `json:"err"`
	Undo  bool   `json:"undo,omitempty"` // it is to turn back because of that alone
}

// Order makes the fact that says it.
func Order(path string, o Ordered, err *Error, at int64) Fact {
	data, e := json.Marshal(o)
	if e != nil {
		panic("journal: plain data does not encode: " + e.Error())
	}
	return Fact{Kind: Recalling, Path: path, Data: data, Err: err, At: at}
}

// Undoable tells whether the run, if it goes back, is known to have anything to undo.
func (h *History) Undoable() bool {
	return slices.ContainsFunc(h.Undos, func(u Undo) bool { return u.Kin == nil || !u.Kin.Open })
}

// OpenKin tells whether the run waits for children that end with it.
func (h *History) OpenKin() bool {
	return len(h.OpenItems("")) > 0 || slices.ContainsFunc(h.OpenCalls(""), func(c CallAt) bool {
		_, is := c.child()
		return is
	})
}

// child is the child that an open call awaits, and that ends with the run.
func (c CallAt) child() (id string, is bool) {
	id, is = strings.CutPrefix(c.Wait.Topic, "child:")
	return id, is && strings.HasPrefix(c.Call, "call:")
}

// dropBroken lets go of the calls that belong to an attempt that has failed: errors of Do, and
// children that did not complete, with the record that they were spawned in this visit.
func (p *Place) dropBroken() {
	var failed []string
	for key, c := range p.Calls {
		if c.State == Broken {
			delete(p.Calls, key)
			if id := childID(c.Data); id != "" && strings.HasPrefix(key, "await:") {
				failed = append(failed, id)
			}
		}
	}
	for key, c := range p.Calls {
		if len(failed) > 0 && strings.HasPrefix(key, "spawn:") && slices.Contains(failed, childID(c.Data)) {
			delete(p.Calls, key)
		}
	}
}

// childID is the id of the child that a call's record is about, "" if there is none.
func childID(data []byte) string {
	var about struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(data, &about) != nil {
		return ""
	}
	return about.ID
}

// completed folds that a child has completed which has something to undo.
func (h *History) completed(p *Place, f *Fact) {
	id := childID(f.Data)
	if id == "" {
		return
	}
	// What was spawned may be awaited more than once.
	if strings.HasPrefix(f.Call, "await:") && slices.ContainsFunc(h.Undos, func(u Undo) bool { return u.Kin != nil && u.Kin.Child == id }) {
		return
	}
	h.addKin(p, f.Path, &Kin{Child: id, Todo: []Range{{0, 0}}})
}

// completedItems folds that items have completed which have something to undo.
func (h *History) completedItems(p *Place, path string, list []Range) {
	if len(list) == 0 {
		return
	}
	visit := h.Visit(path)
	for i := len(h.Undos) - 1; i >= 0 && p.Kin > 0; i-- {
		if u := &h.Undos[i]; u.Kin != nil && !u.Kin.Open && u.Path == path && u.Visit == visit && u.Kin.At == p.Spread.At {
			k := *u.Kin
			k.Todo = joinRanges(k.Todo, list)
			u.Kin = &k
			return
		}
	}
	h.addKin(p, path, &Kin{At: p.Spread.At, Todo: list})
}

// openKin folds that the run turns back while children have not ended.
func (h *History) openKin() {
	calls := h.OpenCalls("")
	slices.SortStableFunc(calls, func(a, b CallAt) int { return a.Seq - b.Seq })
	for _, c := range calls {
		if id, is := c.child(); is {
			h.addKin(h.At(c.Path), c.Path, &Kin{Child: id, Open: true, Todo: []Range{{0, 0}}})
		}
	}
	for _, o := range h.OpenItems("") {
		h.openItems(h.At(o.Path), o.Path)
	}
}

// openItems folds that items are left behind that have not ended.
func (h *History) openItems(p *Place, path string) {
	if open := minus([]Range{{0, p.Spread.Begun - 1}}, p.Spread.Ended); p.Spread.Begun > 0 && len(open) > 0 {
		h.addKin(p, path, &Kin{At: p.Spread.At, Open: true, Todo: open})
	}
}

// addKin adds an entry: before the one of the step that called, after others that this has called.
func (h *History) addKin(p *Place, path string, k *Kin) {
	h.Numbered++
	h.Live++
	u := Undo{N: h.Numbered, Path: path, Visit: h.Visit(path), Done: true, Kin: k}
	at := len(h.Undos)
	for i := at - 1; i >= 0 && (p.Kin > 0 || p.Undo > 0); i-- {
		if b := &h.Undos[i]; b.Path == path && b.Visit == u.Visit {
			if at = i; b.Kin != nil {
				at++
			}
			break
		}
	}
	p.Kin++
	h.Undos = slices.Insert(h.Undos, at, u)
}

// moveKin moves what a step has called to the end of the list: it has begun again, or has ended.
func (h *History) moveKin(p *Place, path string) {
	if p.Kin == 0 {
		return
	}
	visit, moved := h.Visit(path), []Undo(nil)
	is := func(u Undo) bool { return u.Kin != nil && u.Path == path && u.Visit == visit }
	for _, u := range h.Undos {
		if is(u) {
			moved = append(moved, u)
		}
	}
	h.Undos = append(slices.DeleteFunc(h.Undos, is), moved...)
}

// ordered folds what became of orders to children.
func (u *Undo) ordered(f *Fact) error {
	var o Ordered
	if u.Kin == nil {
		return fmt.Errorf("%w: children of %s, which has none", ErrCorrupt, f.Path)
	}
	if err := json.Unmarshal(f.Data, &o); err != nil {
		return fmt.Errorf("%w: the children of %s: %w", ErrCorrupt, f.Path, err)
	}
	k := *u.Kin
	answered := slices.Concat(o.Undone, o.Failed)
	if !within(o.Told, k.Todo) || !within(answered, joinRanges(k.Told, o.Told)) || Count(joinRanges(o.Undone, o.Failed)) != Count(answered) {
		return fmt.Errorf("%w: children of %s that were not asked, or were before", ErrCorrupt, f.Path)
	}
	k.Todo = minus(k.Todo, o.Told)
	k.Told = minus(joinRanges(k.Told, o.Told), answered)
	k.Failed = joinRanges(k.Failed, o.Failed)
	if k.Err == nil {
		k.Err = f.Err
	}
	u.Kin = &k
	u.Place.Attempt = f.Attempt
	return nil
}

// again makes those that could not go back, and those that were not asked, to be told again.
func (u *Undo) again() {
	if u.Kin == nil || u.Ended() && !u.Place.Failed {
		return
	}
	k := *u.Kin
	k.Todo, k.Told, k.Failed, k.Err = joinRanges(joinRanges(k.Todo, k.Told), k.Failed), nil, nil, nil
	u.Kin = &k
}

// Last is the last numbers of ranges, n at most.
func Last(list []Range, n int) (last []Range) {
	for i := len(list) - 1; i >= 0 && n > 0; i-- {
		r := list[i]
		r[0] = max(r[0], r[1]-n+1)
		n -= r[1] - r[0] + 1
		last = append(last, r)
	}
	slices.Reverse(last)
	return last
}

// minus is the numbers of a that are not in b. Those of a are in order, and apart.
func minus(a, b []Range) (list []Range) {
	b = joinRanges(b, nil)
	for _, r := range a {
		for _, x := range b {
			if x[1] < r[0] || x[0] > r[1] {
				continue
			}
			if x[0] > r[0] {
				list = append(list, Range{r[0], x[0] - 1})
			}
			r[0] = x[1] + 1
		}
		if r[0] <= r[1] {
			list = append(list, r)
		}
	}
	return list
}

// within tells whether all numbers of a are in b.
func within(a, b []Range) bool { return len(minus(joinRanges(a, nil), b)) == 0 }

// children is what an undo's record has as its children: what its body began, or the child
// that goes back.
func (u *Undo) children(began []string) []string {
	if u.Kin == nil || u.Kin.Child == "" {
		return began
	}
	return []string{u.Kin.Child}
}

// Round is the number of the order that children of an undo are told now: it grows each time
// those that could not go back are told again.
func (u *Undo) Round() int {
	if u.Place == nil {
		return 1
	}
	return u.Place.NextAttempt()
}
