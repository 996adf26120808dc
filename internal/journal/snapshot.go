package journal

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
)

// SnapshotEvery is how many rows lie between snapshots. One that is not half as large as what it spares who loads the run is
// not written: where nothing is forgotten it would only repeat the rows.
const SnapshotEvery = 256

// Weight is what reading a row costs that has a body of so many bytes, in bytes of a snapshot.
func Weight(size int) int { return size + 100 }

// image is a history as it is stored in a snapshot, beside the state.
type image struct {
	Length int    `json:"length"`
	Live   int    `json:"live"`
	Input  []byte `json:"input"`
	Queue  string `json:"queue"`
	Root   *Place `json:"root"`
	Last   int64  `json:"last"`
	Fails  int    `json:"fails,omitempty"`
	Opened int    `json:"opened,omitempty"`
	Cancel []byte `json:"cancel,omitempty"` // a row with the fact
	Undos  []Undo `json:"undos,omitempty"`
	Number int    `json:"numbered,omitempty"`
	Back   *Back  `json:"back,omitempty"`
	From   int64  `json:"from,omitempty"`
	Limit  int64  `json:"limit,omitempty"`
	Late   *Error `json:"late,omitempty"`

	Recall *Recall `json:"recall,omitempty"`
	Origin *Origin `json:"origin,omitempty"`
}

// Snapshot writes a history such that Restore gives it back. What a snapshot
// does not need (closed passes) is not in a history to begin with.
func (h *History) Snapshot() []byte {
	im := image{
		Length: h.Length, Live: h.Live, Input: h.Input, Queue: h.Queue, Root: h.Root, Last: h.Last, Fails: h.Fails, Opened: h.Opened,
		Undos: h.Undos, Number: h.Numbered, Back: h.Back, From: h.From, Limit: h.Limit, Late: h.Late, Recall: h.Recall, Origin: h.Origin,
	}
	if h.Cancel != nil {
		im.Cancel = Encode([]Fact{*h.Cancel})
	}
	h.each((*Place).spill)
	j, err := json.Marshal(im)
	h.each((*Place).settle)
	if err != nil {
		panic("journal: a history of plain data does not encode: " + err.Error())
	}
	b := binary.AppendUvarint([]byte{version}, uint64(len(h.State)))
	return seal(append(append(b, h.State...), j...))
}

// each calls fn with all places.
func (h *History) each(fn func(*Place)) {
	h.Root.each(fn)
	for i := range h.Undos {
		if p := h.Undos[i].Place; p != nil {
			p.each(fn)
		}
	}
}

// Restore reads a snapshot.
func Restore(b []byte) (*History, error) {
	b, err := unseal(b)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, fmt.Errorf("snapshot: %w: the state is cut off", ErrCorrupt)
	}
	b = b[k:]
	var im image
	if err := json.Unmarshal(b[n:], &im); err != nil {
		return nil, fmt.Errorf("snapshot: %w: %w", ErrCorrupt, err)
	}
	if im.Root == nil {
		return nil, fmt.Errorf("snapshot: %w: it has no places", ErrCorrupt)
	}
	h := &History{
		Length: im.Length, Live: im.Live, Input: im.Input, Queue: im.Queue, State: b[:n:n], Root: im.Root, Last: im.Last, Fails: im.Fails, Opened: im.Opened,
		Undos: im.Undos, Numbered: im.Number, Back: im.Back, From: im.From, Limit: im.Limit, Late: im.Late, Recall: im.Recall, Origin: im.Origin,
	}
	whole := true
	h.each(func(p *Place) {
		maps.DeleteFunc(p.Many, func(_ string, c *Place) bool {
			whole = whole && c != nil
			return c == nil
		})
		p.settle()
	})
	if !whole {
		return nil, fmt.Errorf("snapshot: %w: a place is null", ErrCorrupt)
	}
	if im.Cancel != nil {
		facts, err := Decode(im.Cancel)
		if err != nil || len(facts) != 1 {
			return nil, fmt.Errorf("snapshot: %w: the cancel is unreadable", ErrCorrupt)
		}
		h.Cancel = &facts[0]
	}
	return h, nil
}
