package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bodies in a lane of a parallel block, and those of an item, work on a state of
// their own: the way into it (block[lane], pages[3]) is a place with one. It
// begins as what the block found, or as the item.

// list takes the items of an Each.
func (p *Place) list(f *Fact) error {
	list, err := Compact(f.Data)
	if err != nil {
		return fmt.Errorf("%w: the items at %s: %w", ErrCorrupt, f.Path, err)
	}
	all, ok := items(list)
	if !ok || len(all) != f.Answer.Items {
		return fmt.Errorf("%w: %s has no list of %d items", ErrCorrupt, f.Path, f.Answer.Items)
	}
	p.Ways = &Ways{List: list, items: all}
	return nil
}

// Element splits a path element into its name and, for a way into a node, its key.
func Element(element string) (name, key string, way bool) {
	name, key, way = strings.Cut(element, "[")
	return name, strings.TrimSuffix(key, "]"), way
}

// enter gives a way into a block or item its own state. scope is the place
// around it that has one, p the place of the sequence in which the block is.
func (h *History) enter(p, child, scope *Place, element string) {
	name, key, _ := Element(element)
	base := p.Child(name)
	if base == nil || base.Answer == nil {
		return
	}
	switch base.Answer.Way {
	case WayLanes:
		child.Own = h.State
		if scope != nil {
			child.Own = scope.Own
		}
		if child.Own == nil {
			child.Own = []byte("null")
		}
	case WayItems:
		if i, err := strconv.Atoi(key); err == nil && base.Ways != nil {
			child.Own = base.Ways.Item(i)
			base.Ways.begin(i, child)
		}
	}
}

// StateAt is the state on which a body at a path works.
func (h *History) StateAt(path string) []byte {
	state, p := h.State, h.Root
	for path != "" {
		element, rest, _ := strings.Cut(path, "/")
		child := p.Child(element)
		switch {
		case child != nil && child.Own != nil:
			state = child.Own
		case child == nil:
			if name, key, way := Element(element); way {
				if base := p.Child(name); base != nil && base.Ways != nil {
					if i, err := strconv.Atoi(key); err == nil {
						state = base.Ways.Item(i)
					}
				}
			}
			return state
		}
		p, path = child, rest
	}
	return state
}

// Visit tells visits of one path apart: empty, or how often decisions went back
// in the sequences on the way to it.
func (h *History) Visit(path string) string {
	if u := h.UndoAt(path); u != nil {
		return u.Visit
	}
	var (
		few   [8]int
		jumps = few[:0]
		any   bool
	)
	for p := h.Root; p != nil && path != ""; {
		jumps, any = append(jumps, p.Jumps), any || p.Jumps > 0
		element, rest, _ := strings.Cut(path, "/")
		p, path = p.Child(element), rest
	}
	if !any {
		return ""
	}
	var b strings.Builder
	for i, n := range jumps {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// closed folds the end of a lane or item: only its state stays.
func (h *History) closed(p, parent *Place, f *Fact) {
	h.Live -= p.live()
	p.Clear()
	p.Live, p.Newest, p.Next = 0, "", ""
	p.Closed, p.LastErr = true, f.Err
	element := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	name, _, _ := Element(element)
	base := parent.Child(name)
	if base == nil || base.Ways == nil {
		return
	}
	base.Ways.end(parent, name, element)
}

// join drops the lanes or items of a block whose outcome is the state now.
func (h *History) join(p, parent *Place, path string) {
	if p.Answer == nil || p.Answer.Way != WayLanes && p.Answer.Way != WayItems {
		return
	}
	p.Ways = nil
	h.drop(parent, path[strings.LastIndexByte(path, '/')+1:], false)
}

// jump goes where a decision says.
func (h *History) jump(p, parent *Place, f *Fact) {
	if f.Answer == nil {
		return
	}
	p.Answer = f.Answer
	if f.Answer.Way != WayGoto {
		return
	}
	for _, name := range f.Answer.Drop {
		h.drop(parent, name, true)
	}
	if len(f.Answer.Drop) > 0 {
		parent.Newest = ""
		parent.Jumps++
	}
	parent.Next = f.Answer.Case
}

// drop forgets the ways into a child, and with node the child itself.
func (h *History) drop(parent *Place, name string, node bool) {
	parent.forget(func(element string, c *Place) bool {
		of, _, way := Element(element)
		gone := of == name && (way || node)
		if gone {
			h.Live -= c.live()
		}
		return gone
	})
}

// OpenCalls lists the open waits at a path and under it: their paths and calls,
// in a stable order.
func (h *History) OpenCalls(path string) (list []CallAt) {
	if p := h.At(path); p != nil {
		list = openCalls(list, path, p)
	}
	for i := range h.Undos {
		if u := &h.Undos[i]; path == "" && u.Place != nil {
			list = openCalls(list, u.At(), u.Place)
		}
	}
	slices.SortFunc(list, func(a, b CallAt) int {
		return strings.Compare(a.Path+"\x00"+a.Call, b.Path+"\x00"+b.Call)
	})
	return list
}

// CallAt is a wait at a place.
type CallAt struct {
	Path, Call string
	Wait       *Wait
	Seq        int // order of opening
}

func openCalls(list []CallAt, path string, p *Place) []CallAt {
	for key, c := range p.Calls {
		if c.State == Open && c.Wait != nil {
			list = append(list, CallAt{path, key, c.Wait, c.Seq})
		}
	}
	for element, c := range p.Children() {
		under := element
		if path != "" {
			under = path + "/" + element
		}
		list = openCalls(list, under, c)
	}
	return list
}
