package plan_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
)

// key is a hash of all that what follows depends on: of a large tree there are millions.
func (x *world) key() string {
	sum := sha256.Sum256(x.whole())
	return string(sum[:])
}

// whole is all that what follows depends on. Histories without a rollback are most of them; a snapshot of each takes
// several times as long.
func (x *world) whole() []byte {
	h := x.h
	if h.Undos != nil || h.Back != nil || h.Cancel != nil || h.Late != nil || h.Recall != nil || h.Origin != nil {
		c := *h
		c.Length, c.Last = 0, 0
		return fmt.Appendf(nil, "%s %v %d %v", c.Snapshot(), x.limits, x.epoch, x.cuts)
	}
	b := append(make([]byte, 0, 512), h.State...)
	b = numbers(b, int64(h.Live), h.From, h.Limit, int64(h.Fails), int64(h.Opened), int64(h.Numbered), x.epoch)
	b = placeKey(b, h.Root)
	l := &x.limits
	for _, n := range []int{l.fail, l.final, l.snooze, l.wait, l.do, l.crash, l.stop, l.cancel, l.late, l.twice, l.passes, l.items, l.jumps, l.lost, l.skip} {
		b = numbers(b, int64(n))
	}
	for _, c := range x.cuts {
		b = numbers(texts(b, c.path), c.epoch)
	}
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

// parts of a place are written as a snapshot has them; nil is nothing.
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
	b = texts(b, p.Newest, p.Next, string(p.Own))
	b = parts(b, p.LastErr, p.LastErr != nil)
	if a := p.Answer; a == nil || a.Spread || a.Parts != nil || a.Drop != nil {
		b = parts(b, p.Answer, a != nil)
	} else {
		b = texts(numbers(append(b, 2), int64(a.Way), int64(a.Pass), int64(a.Items)), a.Case, a.Value)
	}
	b = parts(b, p.Calls, len(p.Calls) > 0)
	b = parts(b, p.Ways, p.Ways != nil)
	b = parts(b, p.Spread, p.Spread != nil)
	children := maps.Collect(p.Children())
	b = numbers(b, int64(len(children)))
	for _, element := range slices.Sorted(maps.Keys(children)) {
		b = placeKey(texts(b, element), children[element])
	}
	return b
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
		reflect.TypeFor[limits]():          "fail final snooze wait do crash stop cancel late twice passes items jumps lost skip",
		reflect.TypeFor[cut]():             "path epoch",
	} {
		if got := fields(of); got != want {
			t.Errorf("%s has the fields\n%s, and the key knows\n%s", of, got, want)
		}
	}
}
