package journal

import (
	"errors"
	"fmt"
	"strings"
)

// Origin says from where a run goes on that was forked.
type Origin struct {
	Run  string `json:"run"`
	Path string `json:"path,omitempty"` // "": from its beginning
}

// ErrTwice says that a run that went on from there would do or undo something that another does.
var ErrTwice = errors.New("the run cannot be forked there")

// Fork finds what a run has done before it came to a path for the last time: the facts but for
// Began, and their history. A run that begins with these goes on from there. The error says why none can: nothing
// there has begun, or something would go on or be undone twice. goOn is asked from time to time.
func Fork(rows []Row, path string, goOn func() error) ([]Fact, *History, error) {
	if _, _, is := CutUndo(path); is {
		return nil, nil, fmt.Errorf("%s is the undo of a step; a run goes on from a step", path)
	}
	var all []Fact
	for _, r := range rows {
		all = append(all, r.Facts...)
	}
	cut, err := arrival(all, path, goOn)
	if err != nil {
		return nil, nil, err
	}
	h := NewHistory()
	for i := range all[:cut] {
		if err := h.foldNext(&all[i], i, goOn); err != nil {
			return nil, nil, err
		}
	}
	if err := h.forkable(path); err != nil {
		return nil, nil, err
	}
	facts := make([]Fact, 0, cut)
	for _, f := range all[:cut] {
		if f.Kind != Began {
			f.Message = 0 // of another inbox
			facts = append(facts, f)
		}
	}
	return facts, h, nil
}

// foldNext folds fact i, and asks from time to time whether to go on.
func (h *History) foldNext(f *Fact, i int, goOn func() error) error {
	if i%SnapshotEvery == 0 {
		if err := goOn(); err != nil {
			return err
		}
	}
	return h.Fold(f, 1)
}

// arrival is the fact with which a run came to a path for the last time.
func arrival(all []Fact, path string, goOn func() error) (cut int, err error) {
	if path == "" {
		return 1, nil
	}
	h := NewHistory()
	for i, f := range all {
		if f.Kind != Handed && under(f.Path, path) && h.At(path).untouched() {
			cut = i
		}
		if f.Kind == Done { // what it changed in the state does not matter here
			f.Data = nil
		}
		if err := h.foldNext(&f, i, goOn); err != nil {
			return 0, err
		}
	}
	if cut == 0 && h.Origin != nil && h.Origin.Path == path { // a fork that has not gone on yet
		cut = len(all)
	}
	switch {
	case cut == 0:
		return 0, fmt.Errorf("nothing at %q has begun in it", path)
	case laned(all[:cut], path):
		return 0, fmt.Errorf("%w: %s is in a lane or an item, beside others; a run goes on from what they are in, as a whole", ErrTwice, path)
	}
	return cut, nil
}

// untouched tells whether nothing has begun at a place.
func (p *Place) untouched() bool {
	if p == nil {
		return true
	}
	for range p.Children() {
		return false
	}
	return p.Attempt == 0 && p.Answer == nil && len(p.Calls) == 0 && !p.Done && !p.Failed
}

// under tells whether a path is another one, or leads into it.
func under(path, in string) bool {
	rest, is := strings.CutPrefix(path, in)
	return is && (rest == "" || rest[0] == '/' || rest[0] == '[')
}

// laned tells whether a path is in a lane or item, as the answers among these facts say.
func laned(all []Fact, path string) bool {
	lanes := make(map[string]bool)
	for i := range all {
		if a := all[i].Answer; a != nil {
			lanes[all[i].Path] = a.Way == WayLanes || a.Way == WayItems
		}
	}
	for i := range path {
		if path[i] == '[' && lanes[path[:i]] {
			return true
		}
	}
	return false
}

// forkable says why no run can go on from this history at a path.
func (h *History) forkable(path string) error {
	if path == "" {
		return nil
	}
	if h.Cancel != nil || h.Late != nil || h.Back != nil || h.Recall != nil {
		return fmt.Errorf("%w: it was on its way to an end when it came to %s", ErrTwice, path)
	}
	if n := len(h.Undos); n > 0 {
		from := "a run can go on from there, or from before"
		if under(h.Undos[0].Path, path) {
			from = "a run can go on from before its first visit"
		}
		return fmt.Errorf("%w: %s was done before, and would be undone by both runs; %s", ErrTwice, h.Undos[0].Path, from)
	}
	if at := h.Root.unfinished(""); at != "" {
		return fmt.Errorf("%w: %s had not ended when the run came to %s, and would go on in both", ErrTwice, at, path)
	}
	return nil
}

// unfinished is the path of something under p that has begun and not ended, or has failed.
func (p *Place) unfinished(path string) string {
	if p.Closed || p.Done {
		return ""
	}
	if p.Failed || p.Attempt > 0 || len(p.Calls) > 0 || p.Spread != nil {
		return path
	}
	for element, c := range p.Children() {
		at := element
		if path != "" {
			at = path + "/" + element
		}
		if found := c.unfinished(at); found != "" {
			return found
		}
	}
	return ""
}

// GoesOn makes the history of a fork's first row of that which Fork has returned: with its own beginning, and the fact that says from where.
func (h *History) GoesOn(began, mark *Fact) error {
	h.Input, h.Queue, h.From, h.Limit = began.Data, began.Call, began.Until, began.Limit
	if mark.Topic == "" {
		if err := h.began(began); err != nil {
			return err
		}
	}
	h.Last = max(h.Last, began.At)
	h.Length = 1
	return h.Fold(mark, 1)
}

// forked folds that the run goes on from another: at that path, whatever stands before it in the code.
func (h *History) forked(f *Fact) error {
	h.Origin = &Origin{f.Call, f.Topic}
	h.Last = max(h.Last, f.At)
	p := h.Root
	for path := f.Topic; path != ""; {
		element, rest, _ := strings.Cut(path, "/")
		child := p.Child(element)
		if child == nil {
			if !strings.HasSuffix(element, "]") {
				p.Next = element
			}
			break
		}
		p, path = child, rest
	}
	if len(f.Data) == 0 {
		return nil
	}
	state, err := Compact(f.Data)
	if err != nil {
		return fmt.Errorf("%w: the state of a fork: %w", ErrCorrupt, err)
	}
	h.State = state
	return nil
}
