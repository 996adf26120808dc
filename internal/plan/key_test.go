package plan_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
)

// digest tells histories apart: of a large tree there are millions.
type digest [sha256.Size]byte

// key is a hash of all that what follows depends on.
func (x *world) key() digest { return sha256.Sum256(x.whole()) }

// whole is all that what follows depends on. Histories without a rollback are most of them; a snapshot of each takes
// several times as long. It is good until the next one is asked for.
func (x *world) whole() []byte {
	h := x.h
	if h.Undos != nil || h.Back != nil || h.Cancel != nil || h.Late != nil || h.Recall != nil || h.Origin != nil {
		c := *h
		c.Length, c.Last = 0, 0
		return fmt.Appendf(nil, "%s %v %d %v", c.Snapshot(), x.limits, x.epoch, x.cuts)
	}
	b := append((*x.room)[:0], h.State...)
	b = numbers(b, int64(h.Live), h.From, h.Limit, int64(h.Fails), int64(h.Opened), int64(h.Numbered), x.epoch)
	b = placeKey(b, h.Root)
	l := &x.limits
	for _, n := range []int{l.fail, l.final, l.snooze, l.wait, l.do, l.crash, l.stop, l.cancel, l.late, l.twice, l.passes, l.items, l.jumps, l.lost, l.skip} {
		b = numbers(b, int64(n))
	}
	for _, c := range x.cuts {
		b = numbers(texts(b, c.path), c.epoch)
	}
	*x.room = b
	return b
}

func numbers(b []byte, list ...int64) []byte {
	for _, n := range list {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func texts(b []byte, list ...string) []byte {
	for _, s := range list {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

// parts of a place that are rare are written as a snapshot has them; nil is nothing.
func parts(b []byte, v any, is bool) []byte {
	if !is {
		return append(b, 0)
	}
	j, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return texts(append(b, 1), string(j))
}

func placeKey(b []byte, p *journal.Place) []byte {
	flags := int64(0)
	for i, is := range []bool{p.Paused, p.Snoozed, p.InDoubt, p.Done, p.Failed, p.Closed, p.Own != nil} {
		if is {
			flags |= 1 << i
		}
	}
	b = numbers(b, flags, int64(p.Live), int64(p.Attempt), int64(p.Failures), int64(p.Died), int64(p.Lost), int64(p.Asked), p.Open, p.TriedAt, p.Until,
		int64(p.FailedSeq), int64(p.Jumps), int64(p.Undo), int64(p.Spent), int64(p.Kin), int64(len(p.Crashed)))
	b = numbers(b, p.Crashed...)
	b = binary.AppendUvarint(texts(b, p.Newest, p.Next), uint64(len(p.Own)))
	b = errorKey(append(b, p.Own...), p.LastErr)
	if a := p.Answer; a == nil || a.Spread || a.Parts != nil || a.Drop != nil {
		b = parts(b, p.Answer, a != nil)
	} else {
		b = texts(numbers(append(b, 2), int64(a.Way), int64(a.Pass), int64(a.Items)), a.Case, a.Value)
	}
	b = callKeys(b, p.Calls)
	if w := p.Ways; w != nil {
		b = append(numbers(b, 1, int64(w.Low), int64(w.High), int64(len(w.List))), w.List...)
	} else {
		b = append(b, 0)
	}
	b = parts(b, p.Spread, p.Spread != nil)
	var room [8]placed
	children := room[:0]
	for element, c := range p.Children() {
		children = append(children, placed{element, c})
	}
	slices.SortFunc(children, func(a, b placed) int { return strings.Compare(a.element, b.element) })
	b = numbers(b, int64(len(children)))
	for _, c := range children {
		b = placeKey(texts(b, c.element), c.place)
	}
	return b
}

// placed is a place with its element.
type placed struct {
	element string
	place   *journal.Place
}

func errorKey(b []byte, e *journal.Error) []byte {
	if e == nil || e.Chain != nil || e.Stack != "" {
		return parts(b, e, e != nil)
	}
	return texts(numbers(append(b, 2), int64(e.Attempt)), e.Code, e.Message, e.Path)
}

func callKeys(b []byte, calls map[string]*journal.Call) []byte {
	var room [8]string
	names := room[:0]
	for name := range calls {
		names = append(names, name)
	}
	slices.Sort(names)
	b = numbers(b, int64(len(names)))
	for _, name := range names {
		c := calls[name]
		has := int64(0)
		if c.Has {
			has = 1
		}
		b = append(numbers(texts(b, name), int64(c.State), has, int64(c.Seq), int64(len(c.Data))), c.Data...)
		b = parts(errorKey(b, c.Err), c.Got, c.Got != nil)
		if w := c.Wait; w != nil && plain(w) {
			b = texts(append(b, 2), w.ID, w.Kind, w.Name)
		} else {
			b = parts(b, w, w != nil)
		}
	}
	return b
}

// plain tells whether a wait has nothing but what each has.
func plain(w *journal.Wait) bool {
	return w.Topic == "" && !w.Shared && w.Deadline == 0 && w.Default == nil && !w.HasValue && w.Detail == nil && w.To == "" &&
		w.Notices == nil && w.Notes == nil && w.Topics == nil && !w.All
}

// A key knows every field: one that it forgot would make two histories one, and one of them would not be looked at.
func TestKeysKnowEverything(t *testing.T) {
	fields := func(of reflect.Type) string {
		var names []string
		for f := range of.Fields() {
			names = append(names, f.Name)
		}
		return strings.Join(names, " ")
	}
	for of, want := range map[reflect.Type]string{
		reflect.TypeFor[journal.Place](): "few Many Newest Live Attempt Failures Crashed Died Lost Asked Open TriedAt Until Paused Snoozed InDoubt LastErr Done Failed FailedSeq Answer Calls " +
			"Next Jumps Own Closed Ways Spread Undo Spent Kin turns path",
		reflect.TypeFor[journal.History](): "Length Live Input Queue State Root Cancel From Limit Late Last Fails Opened Undos Numbered Back Recall Origin",
		reflect.TypeFor[journal.Answer]():  "Way Case Pass Value Items Spread Parts Drop",
		reflect.TypeFor[journal.Call]():    "State Data Has Err Wait Seq Got",
		reflect.TypeFor[journal.Wait]():    "ID Kind Name Topic Shared Deadline Default HasValue Detail To Notices Notes Topics All",
		reflect.TypeFor[journal.Error]():   "Code Message Path Attempt Chain Stack",
		reflect.TypeFor[journal.Ways]():    "List Low High items rest",
		reflect.TypeFor[limits]():          "fail final snooze wait do crash stop cancel late twice passes items jumps lost skip",
		reflect.TypeFor[cut]():             "path epoch",
	} {
		if got := fields(of); got != want {
			t.Errorf("%s has the fields\n%s, and the key knows\n%s", of, got, want)
		}
	}
}
