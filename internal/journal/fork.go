package journal

import (
	"fmt"
	"strings"
)

// Origin says from where a run goes on that was forked.
type Origin struct {
	Run  string `json:"run"`
	Path string `json:"path,omitempty"` // "": from its beginning
}

// Fork finds what a run has done before it came to a path for the last time: the facts but for
// Began, and their history. A run that begins with these goes on from there. The error says why none can: nothing
// there has begun, something would go on twice, or would be undone twice.
func Fork(rows []Row, path string) ([]Fact, *History, error) {
	if _, _, is := CutUndo(path); is {
		return nil, nil, fmt.Errorf("%s is the undo of a step; a run goes on from a step", path)
	}
	var all []Fact
	for _, r := range rows {
		all = append(all, r.Facts...)
	}
	cut, err := arrival(all, path)
	if err != nil {
		return nil, nil, err
	}
	h := NewHistory()
	for i := range all[:cut] {
		if err := h.Fold(&all[i], 1); err != nil {
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

// arrival is the fact with which a run came to a path for the last time.
func arrival(all []Fact, path string) (cut int, err error) {
	if path == "" {
		return 1, nil
	}
	h, lane := NewHistory(), false
	for i := range all {
		f := &all[i]
		here := f.Kind != Handed && under(f.Path, path) && h.At(path) == nil
		if err := h.Fold(f, 1); err != nil {
			return 0, err
		}
		if here {
			cut, lane = i, h.laned(path)
		}
	}
	switch {
	case cut == 0:
		return 0, fmt.Errorf("nothing at %q has begun in it", path)
	case lane:
		return 0, fmt.Errorf("%s is in a lane or an item, beside others; a run goes on from what they are in, as a whole", path)
	}
	return cut, nil
}

// under tells whether a path is another one, or leads into it.
func under(path, in string) bool {
	rest, is := strings.CutPrefix(path, in)
	return is && (rest == "" || rest[0] == '/' || rest[0] == '[')
}

// laned tells whether a path is in a lane or item.
func (h *History) laned(path string) bool {
	p := h.Root
	for path != "" {
		element, rest, _ := strings.Cut(path, "/")
		if p = p.Child(element); p == nil {
			return false
		}
		if p.Own != nil {
			return true
		}
		path = rest
	}
	return false
}

// forkable says why no run can go on from this history at a path.
func (h *History) forkable(path string) error {
	if path == "" {
		return nil
	}
	switch {
	case h.Cancel != nil || h.Late != nil || h.Back != nil || h.Recall != nil:
		return fmt.Errorf("the run was on its way to an end when it came to %s", path)
	case len(h.Undos) > 0:
		return fmt.Errorf("%s was done before, and would be undone by both runs; a run can go on from there, or from before", h.Undos[len(h.Undos)-1].Path)
	}
	if at := h.Root.unfinished(""); at != "" {
		return fmt.Errorf("%s had not ended when the run came to %s, and would go on in both", at, path)
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

// forked folds that the run goes on from another.
func (h *History) forked(f *Fact) error {
	h.Origin = &Origin{f.Call, f.Topic}
	h.Last = max(h.Last, f.At)
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
