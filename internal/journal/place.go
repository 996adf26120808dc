package journal

import (
	"iter"
	"maps"
	"slices"
)

// Place is what happened at one path element. A place exists if anything
// happened at it or under it.
type Place struct {
	few    []child           // the children, while they are few
	Many   map[string]*Place `json:"children,omitempty"` // once they are more than that; in a snapshot, always
	Newest string            `json:"newest,omitempty"`   // the child node where something happened first, last
	Live   int               `json:"live,omitempty"`     // facts of this place that still count

	// A body's visit.
	Attempt   int     `json:"attempt,omitempty"`  // of the newest Tried
	Failures  int     `json:"failures,omitempty"` // attempts that ended by error, panic or timeout
	Crashed   []int64 `json:"crashed,omitempty"`  // epochs that crashed in a row, nothing new between
	Died      int     `json:"died,omitempty"`     // crashes in all
	Lost      int     `json:"lost,omitempty"`     // timeouts that nobody knows the outcome of, since a person looked
	Asked     int     `json:"asked,omitempty"`    // failed askings of the outside while in doubt
	Open      int64   `json:"open,omitempty"`     // epoch of a Tried without an end; 0: none
	TriedAt   int64   `json:"tried_at,omitempty"`
	Until     int64   `json:"until,omitempty"`  // the next attempt begins at this time or later
	Paused    bool    `json:"paused,omitempty"` // Delayed since the last Tried
	Snoozed   bool    `json:"snoozed,omitempty"`
	InDoubt   bool    `json:"in_doubt,omitempty"` // begun, and nobody knows how it ended
	LastErr   *Error  `json:"last_err,omitempty"`
	Done      bool    `json:"done,omitempty"`
	Failed    bool    `json:"failed,omitempty"`
	FailedSeq int     `json:"failed_seq,omitempty"` // which of the run's failures, from 1

	Answer *Answer          `json:"answer,omitempty"` // the newest
	Calls  map[string]*Call `json:"calls,omitempty"`

	Next   string  `json:"next,omitempty"`   // of a sequence: a decision said that this child comes next
	Jumps  int     `json:"jumps,omitempty"`  // of a sequence: how often a decision went back in it
	Own    []byte  `json:"own,omitempty"`    // of a lane or item: the state that its bodies work on
	Closed bool    `json:"closed,omitempty"` // of a lane or item: it has ended, with LastErr if it failed
	Ways   *Ways   `json:"ways,omitempty"`   // of an Each: its items
	Spread *Spread `json:"spread,omitempty"` // of a spread Each, until it has ended: its items

	Undo  int `json:"undo,omitempty"`  // number of what undoes this visit; 0: nothing does
	Spent int `json:"spent,omitempty"` // attempts before the budget was last renewed
	Kin   int `json:"kin,omitempty"`   // entries for children of this visit in the list of undos

	turns int    // see Turns
	path  string // see Path
}

// child is a place under another.
type child struct {
	element string // of its path
	place   *Place
}

// fewChildren is how many places most have under them, at most: so many are looked through
// faster than a map.
const fewChildren = 8

// Child is the place of an element under p, nil if nothing happened there.
func (p *Place) Child(element string) *Place {
	for i := range p.few {
		if p.few[i].element == element {
			return p.few[i].place
		}
	}
	return p.Many[element]
}

// Children are all places under p by their elements, in no order.
func (p *Place) Children() iter.Seq2[string, *Place] {
	return func(yield func(string, *Place) bool) {
		for i := range p.few {
			if !yield(p.few[i].element, p.few[i].place) {
				return
			}
		}
		for element, c := range p.Many {
			if !yield(element, c) {
				return
			}
		}
	}
}

// Put puts a place under p, where the element has none.
func (p *Place) Put(element string, c *Place) {
	switch {
	case p.Many != nil:
		p.Many[element] = c
	case len(p.few) == fewChildren:
		p.spill()
		p.Many[element] = c
	default:
		if p.few == nil {
			p.few = make([]child, 0, fewChildren/2)
		}
		p.few = append(p.few, child{element, c})
	}
}

// spill puts the children into the map, which is how a snapshot takes them.
func (p *Place) spill() {
	if p.Many == nil && len(p.few) > 0 {
		p.Many = make(map[string]*Place, 2*len(p.few))
	}
	for _, c := range p.few {
		p.Many[c.element] = c.place
	}
	p.few = nil
}

// settle takes the children out of the map if they are few.
func (p *Place) settle() {
	if p.Many == nil || len(p.Many) > fewChildren {
		return
	}
	many := p.Many
	p.Many = nil
	for element, c := range many {
		p.Put(element, c)
	}
}

// each calls fn with p, and with all places under it.
func (p *Place) each(fn func(*Place)) {
	fn(p)
	for _, c := range p.Children() {
		c.each(fn)
	}
}

// forget takes out children.
func (p *Place) forget(which func(element string, c *Place) bool) {
	p.few = slices.DeleteFunc(p.few, func(c child) bool { return which(c.element, c.place) })
	maps.DeleteFunc(p.Many, which)
}

// Clear takes out all children.
func (p *Place) Clear() { p.few, p.Many = nil, nil }
