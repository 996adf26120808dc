package journal

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func altering() []Fact {
	return []Fact{
		{Kind: Began, Data: []byte(`{}`), Call: "q", At: 1},
		{Kind: Tried, Path: "s", Attempt: 1, Epoch: 1, At: 2},
		{Kind: Waited, Path: "s", Call: "text:t#1", At: 3, Wait: &Wait{
			ID: "w", Kind: "text", Name: "t", Deadline: 90, To: "ada", Detail: []byte(`{"prompt":"?"}`), Notices: []Notice{{At: 10}, {At: 20, To: "bob"}, {At: 30}},
		}},
		{Kind: Altered, Path: "s", Call: "text:t#1", At: 10, Note: &Note{Kind: NoteReminded, At: 10, To: "ada"}},
		{Kind: Altered, Path: "s", Call: "text:t#1", At: 15, Message: 1, Until: 200, Note: &Note{Kind: NoteExtended, At: 15, By: "eve", Until: 200}},
		{Kind: Altered, Path: "s", Call: "text:t#1", At: 20, Note: &Note{Kind: NoteEscalated, At: 20, To: "bob"}},
	}
}

// Folding leaves the facts as they are: they may be folded again, after a write
// that was refused.
func TestAlter_FoldsTheSameTwice(t *testing.T) {
	facts := altering()
	var waits []*Wait
	for range 2 {
		h := NewHistory()
		fold1(t, h, facts...)
		w := h.At("s").Calls["text:t#1"].Wait
		waits = append(waits, w)
		if w.Deadline != 200 || w.To != "bob" || len(w.Notices) != 1 || len(w.Notes) != 3 || w.Due() != 30 {
			t.Errorf("%+v", w)
		}
		if h.Live != 2 {
			t.Errorf("%d live facts", h.Live)
		}
		back, err := Restore(h.Snapshot())
		if err != nil || !reflect.DeepEqual(back.At("s").Calls, h.At("s").Calls) {
			t.Errorf("a snapshot loses some of it: %v", err)
		}
	}
	if !reflect.DeepEqual(waits[0], waits[1]) || !reflect.DeepEqual(facts, altering()) {
		t.Error("folding has changed the facts")
	}
}

func TestAlter_Refuses(t *testing.T) {
	for name, f := range map[string]Fact{
		"nothing due":  {Kind: Altered, Path: "s", Call: "e#1", Note: &Note{}},
		"no note":      {Kind: Altered, Path: "s", Call: "e#1", Message: 1},
		"no such call": {Kind: Altered, Path: "s", Call: "x", Message: 1, Note: &Note{}},
		"revoke none":  {Kind: Revoked, Path: "s", Call: "x"},
	} {
		h := NewHistory()
		fold1(t, h, altering()[0], altering()[1], Fact{Kind: Waited, Path: "s", Call: "e#1", Wait: &Wait{ID: "w"}})
		if err := h.Fold(&f, 2); err == nil {
			t.Errorf("%s is folded", name)
		}
	}
}

func TestShown(t *testing.T) {
	notes := []Note{{Kind: NoteReminded, At: 1}}
	for detail, want := range map[string]string{
		``: `{"notes":[…]}`, `{}`: `{"notes":[…]}`, `{"a":1}`: `{"a":1,"notes":[…]}`, `[1]`: `{"notes":[…]}`, " {\"a\":{}} ": `{"a":{},"notes":[…]}`,
	} {
		got := string((&Wait{Detail: []byte(detail), Notes: notes}).Shown())
		if !json.Valid([]byte(got)) || strings.ReplaceAll(got, `[{"kind":"reminded","at":1}]`, "[…]") != want {
			t.Errorf("%q is shown as %s, want %s", detail, got, want)
		}
		if same := (&Wait{Detail: []byte(detail)}).Shown(); string(same) != detail {
			t.Errorf("without notes %q is shown as %s", detail, same)
		}
	}
}

func TestNotes_AreBounded(t *testing.T) {
	var list []Note
	for i := range 3 * maxNotes {
		list = addNote(list, Note{At: int64(i)})
	}
	if len(list) != maxNotes || list[maxNotes-1].At != 3*maxNotes-1 {
		t.Errorf("%d notes, the last of %d", len(list), list[len(list)-1].At)
	}
}
