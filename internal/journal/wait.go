package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Notice is something that is due at a time while a wait is open, and that does
// not end it.
type Notice struct {
	After int64  `json:"after,omitempty"` // microseconds after the opening
	At    int64  `json:"at,omitempty"`    // microseconds since 1970; set as the wait opens
	To    string `json:"to,omitempty"`    // the wait passes to them; "" only reminds
}

// Note is what happened to a wait while it was open.
type Note struct {
	Kind  string `json:"kind"` // NoteReminded and so on
	At    int64  `json:"at"`
	To    string `json:"to,omitempty"`    // who is to act
	By    string `json:"by,omitempty"`    // who did it
	Until int64  `json:"until,omitempty"` // extended: the deadline from then on
	Text  string `json:"text,omitempty"`  // refused: why
}

// The kinds of notes. They are stored.
const (
	NoteReminded  = "reminded"  // nobody has answered so far
	NoteEscalated = "escalated" // it passed to somebody else
	NoteExtended  = "extended"  // its deadline was moved
	NoteRefused   = "refused"   // an answer that came early did not fit
)

// Latest is the end of the year 9999, in microseconds since 1970. Later times do
// not print: what is due after it is due then.
const Latest = 253402300799_000000

// maxNotes is how many notes a wait keeps: the newest ones. The journal has all.
const maxNotes = 50

func addNote(notes []Note, n Note) []Note {
	if len(notes) >= maxNotes {
		notes = notes[len(notes)-maxNotes+1:]
	}
	return append(slices.Clone(notes), n)
}

// Arm gives the notices of a wait their times, counted from its opening, and
// puts them in order.
func (w *Wait) Arm(opened int64) {
	for i := range w.Notices {
		w.Notices[i].At = opened + w.Notices[i].After
	}
	slices.SortStableFunc(w.Notices, func(a, b Notice) int { return int(min(max(a.At-b.At, -1), 1)) })
}

// Due is when something happens to the wait by itself: its deadline, or a notice
// before that; 0 is never.
func (w *Wait) Due() int64 {
	if len(w.Notices) > 0 && (w.Deadline == 0 || w.Notices[0].At < w.Deadline) {
		return w.Notices[0].At
	}
	return w.Deadline
}

// Shown is the wait's detail with its notes, as lists show it.
func (w *Wait) Shown() []byte {
	if len(w.Notes) == 0 {
		return w.Detail
	}
	notes, err := json.Marshal(w.Notes)
	if err != nil {
		panic("journal: notes of plain data do not encode: " + err.Error())
	}
	detail := bytes.TrimSpace(w.Detail)
	if len(detail) < 2 || detail[0] != '{' {
		detail = []byte("{}")
	}
	out := append(make([]byte, 0, len(detail)+len(notes)+10), detail[:len(detail)-1]...)
	if len(bytes.TrimSpace(out)) > 1 {
		out = append(out, ',')
	}
	return append(append(append(out, `"notes":`...), notes...), '}')
}

// alter changes an open wait, and keeps what has come for it. The wait that its opening recorded is left as it
// is: that fact may be folded again.
func (p *Place) alter(f *Fact) error {
	c := p.Calls[f.Call]
	if c == nil || c.State != Open {
		return fmt.Errorf("%w: %s of call %s at %s, which is not open", ErrCorrupt, f.Kind, f.Call, f.Path)
	}
	w := *c.Wait
	w.Notes = addNote(w.Notes, *f.Note)
	switch {
	case f.Message != 0:
		w.Deadline = f.Until
	case len(w.Notices) == 0:
		return fmt.Errorf("%w: %s of call %s at %s, where nothing is due", ErrCorrupt, f.Kind, f.Call, f.Path)
	default:
		if to := w.Notices[0].To; to != "" {
			w.To = to
		}
		w.Notices = w.Notices[1:]
	}
	next := *c
	next.Wait = &w
	p.Calls[f.Call] = &next
	return nil
}
