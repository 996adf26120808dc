package journal

import (
	"slices"
	"strconv"
	"strings"
)

// Ways is the items of an Each.
type Ways struct {
	List []byte `json:"list"`
	Low  int    `json:"low,omitempty"`  // all items before it are closed
	High int    `json:"high,omitempty"` // no item from here on has begun

	items [][]byte
	rest  *Rest
}

// Item is item i, null if there is none.
func (w *Ways) Item(i int) []byte {
	if w.items == nil {
		w.items, _ = items(w.List)
	}
	if i < 0 || i >= len(w.items) {
		return []byte("null")
	}
	return w.items[i]
}

// Rest is the items of an Each that have not ended: those that have begun, and some of
// those that have not. Whoever looks for what is open need not walk past what is closed.
type Rest struct {
	Begun int // how many of them have begun

	of   *Ways   // whose it is: a copy of them makes its own
	name string  // of the node
	list []*Unit // in order
	next int     // items from here on are not in the list, and none of them has begun
}

// Unit is an item that has not ended.
type Unit struct {
	N       int
	Element string // its path element
	Place   *Place // nil: it has not begun

	// Memo is package plan's: what it has derived of the item, at its Place's Turns.
	Memo any
}

// Rest is what has not ended of the items of the node with that name under parent.
func (w *Ways) Rest(parent *Place, name string) *Rest {
	if r := w.rest; r != nil && r.of == w {
		return r
	}
	r := &Rest{of: w, name: name, next: w.Low}
	for i := w.Low; i < w.High; i++ {
		u := r.add()
		if u.Place = parent.Child(u.Element); u.Place == nil {
			continue
		}
		if r.Begun++; u.Place.Closed {
			r.closed(i)
		}
	}
	w.rest = r
	return r
}

// add appends the next item to the list.
func (r *Rest) add() *Unit {
	u := &Unit{N: r.next, Element: r.name + "[" + strconv.Itoa(r.next) + "]"}
	r.next++
	r.list = append(r.list, u)
	return u
}

// Units lists what has begun and, as far as there are so many of total items, at least
// fresh that have not. The list is to be read only, and holds until the next fact.
func (r *Rest) Units(fresh, total int) []*Unit {
	for len(r.list)-r.Begun < fresh && r.next < total {
		r.add()
	}
	return r.list
}

func (r *Rest) find(n int) (int, bool) {
	return slices.BinarySearchFunc(r.list, n, func(u *Unit, n int) int { return u.N - n })
}

func (r *Rest) begun(n int, p *Place) {
	for r.next <= n {
		r.add()
	}
	if i, ok := r.find(n); ok && r.list[i].Place == nil {
		r.list[i].Place = p
		r.Begun++
	}
}

func (r *Rest) closed(n int) {
	if i, ok := r.find(n); ok {
		r.list = slices.Delete(r.list, i, i+1)
		r.Begun--
	}
}

// begin folds that item n has begun.
func (w *Ways) begin(n int, p *Place) {
	w.High = max(w.High, n+1)
	if r := w.rest; r != nil && r.of == w {
		r.begun(n, p)
	}
}

// end folds that the item of a path element has ended.
func (w *Ways) end(parent *Place, name, element string) {
	if r := w.rest; r != nil && r.of == w {
		if n, err := strconv.Atoi(strings.TrimSuffix(element[len(name)+1:], "]")); err == nil {
			r.closed(n)
		}
	}
	for {
		next := parent.Child(name + "[" + strconv.Itoa(w.Low) + "]")
		if next == nil || !next.Closed {
			return
		}
		w.Low++
	}
}

// Path is the path of a place if it is known: a snapshot does not tell it.
func (p *Place) Path() string {
	if p == nil {
		return ""
	}
	return p.path
}

// Turns counts what has been recorded at a place and under it: while it is the same,
// what is derived from the place alone is the same too. Of no place it is 0.
func (p *Place) Turns() int {
	if p == nil {
		return 0
	}
	return p.turns
}
