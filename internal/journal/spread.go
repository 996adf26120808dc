package journal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Items of an Each that are executions of their own (spread) leave no places here. Their
// list lies in blobs, and what became of them is ranges of numbers.

// Spread is how the items of a spread Each stand.
type Spread struct {
	At     int64   `json:"at"`               // when the list was recorded, in microseconds: ids of items begin with it
	Begun  int     `json:"begun,omitempty"`  // items before it have begun
	Ended  []Range `json:"ended,omitempty"`  // in order, apart
	Failed []Range `json:"failed,omitempty"` // of those that have ended
	Err    *Error  `json:"err,omitempty"`    // of the first that was known to have failed
}

// Range is the numbers from the first to the last.
type Range [2]int

// Part is a blob with a piece of a list of items.
type Part struct {
	From int    `json:"from"` // its first item
	Hash string `json:"hash"` // of the blob, a JSON list
}

// Spreading is what a Scattered fact says, as its Data.
type Spreading struct {
	From   int     `json:"from,omitempty"`   // the first that has begun
	Begun  int     `json:"begun,omitempty"`  // so many more have begun
	Ended  []Range `json:"ended,omitempty"`  // have ended, in order, apart
	Failed []Range `json:"failed,omitempty"` // of those, did not end well; Err is of the first
	Undo   []Range `json:"undo,omitempty"`   // of those, completed and have something to undo
}

// Scatter makes the fact that says it.
func Scatter(path string, s Spreading, err *Error, at int64) Fact {
	data, e := json.Marshal(s)
	if e != nil {
		panic("journal: plain data does not encode: " + e.Error())
	}
	return Fact{Kind: Scattered, Path: path, Data: data, Err: err, At: at}
}

// Open is how many items have begun and have not ended.
func (s *Spread) Open() int { return s.Begun - Count(s.Ended) }

// EachOpen calls fn for every item that has begun and has not ended, in order.
func (s *Spread) EachOpen(fn func(n int)) {
	n := 0
	for _, r := range s.Ended {
		for ; n < r[0]; n++ {
			fn(n)
		}
		n = r[1] + 1
	}
	for ; n < s.Begun; n++ {
		fn(n)
	}
}

// Count is how many numbers are in ranges.
func Count(list []Range) (n int) {
	for _, r := range list {
		n += r[1] - r[0] + 1
	}
	return n
}

// In tells whether a number is in ranges, which are in order.
func In(list []Range, n int) bool {
	i, _ := slices.BinarySearchFunc(list, n, func(r Range, n int) int { return r[1] - n })
	return i < len(list) && list[i][0] <= n
}

// Ranges makes ranges of numbers in any order.
func Ranges(numbers []int) (list []Range) {
	slices.Sort(numbers)
	for _, n := range numbers {
		list = extended(list, Range{n, n})
	}
	return list
}

// extended adds a range that does not begin before the last.
func extended(list []Range, r Range) []Range {
	if n := len(list) - 1; n >= 0 && r[0] <= list[n][1]+1 {
		list[n][1] = max(list[n][1], r[1])
		return list
	}
	return append(list, r)
}

// joinRanges makes one list of two.
func joinRanges(a, b []Range) (list []Range) {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y Range) int { return x[0] - y[0] })
	for _, r := range all {
		list = extended(list, r)
	}
	return list
}

// scattered folds what became of items.
func (h *History) scattered(p *Place, f *Fact) error {
	s := p.Spread
	if s == nil {
		return fmt.Errorf("%w: items of %s, which has none of their own", ErrCorrupt, f.Path)
	}
	var d Spreading
	if err := json.Unmarshal(f.Data, &d); err != nil {
		return fmt.Errorf("%w: the items of %s: %w", ErrCorrupt, f.Path, err)
	}
	if d.Begun != 0 && d.From != s.Begun {
		return fmt.Errorf("%w: item %d of %s begins, and %d have begun", ErrCorrupt, d.From, f.Path, s.Begun)
	}
	if d.Begun < 0 || s.Begun+d.Begun > p.Answer.Items {
		return fmt.Errorf("%w: %s has %d items, and %d have begun", ErrCorrupt, f.Path, p.Answer.Items, s.Begun+d.Begun)
	}
	next := Spread{At: s.At, Begun: s.Begun + d.Begun, Ended: joinRanges(s.Ended, d.Ended), Failed: joinRanges(s.Failed, d.Failed), Err: s.Err}
	for _, r := range d.Ended {
		if r[0] < 0 || r[1] < r[0] || r[1] >= next.Begun {
			return fmt.Errorf("%w: items %d to %d of %s ended, and %d have begun", ErrCorrupt, r[0], r[1], f.Path, next.Begun)
		}
	}
	if Count(next.Ended) != Count(s.Ended)+Count(d.Ended) {
		return fmt.Errorf("%w: an item of %s ended twice", ErrCorrupt, f.Path)
	}
	if next.Err == nil {
		next.Err = f.Err
	}
	if !within(d.Undo, d.Ended) {
		return fmt.Errorf("%w: items of %s are to be undone that have not ended", ErrCorrupt, f.Path)
	}
	p.Spread = &next
	h.completedItems(p, f.Path, d.Undo)
	return nil
}

// ItemsAt is the items of a spread Each.
type ItemsAt struct {
	Path   string
	Spread *Spread
}

// OpenItems lists the spread items at a path and under it whose Each has not ended, in a
// stable order.
func (h *History) OpenItems(path string) (list []ItemsAt) {
	if p := h.At(path); p != nil {
		list = openItems(list, path, p)
	}
	slices.SortFunc(list, func(a, b ItemsAt) int { return strings.Compare(a.Path, b.Path) })
	return list
}

func openItems(list []ItemsAt, path string, p *Place) []ItemsAt {
	if p.Spread != nil {
		list = append(list, ItemsAt{path, p.Spread})
	}
	for element, c := range p.Children() {
		under := element
		if path != "" {
			under = path + "/" + element
		}
		list = openItems(list, under, c)
	}
	return list
}
