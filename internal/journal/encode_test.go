package journal

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawText is valid UTF-8 of hard kinds.
func drawText(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "a/b", "~", "~1", "set", "é", "🙂", "\u2028", "<&>", "\"\\", "\x00\x1f", strings.Repeat("x", 300)}),
		rapid.String(),
	).Draw(t, label)
}

func drawBytes(t *rapid.T, label string) []byte {
	switch rapid.IntRange(0, 3).Draw(t, label+" kind") {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, label)
}

func drawFact(t *rapid.T) Fact {
	f := Fact{
		Kind:    rapid.SampledFrom(allKinds()).Draw(t, "kind"),
		Path:    drawText(t, "path"),
		At:      rapid.Int64().Draw(t, "at"),
		Attempt: rapid.IntRange(0, 1<<40).Draw(t, "attempt"),
		Call:    drawText(t, "call"),
		Data:    drawBytes(t, "data"),
		Why:     Why(rapid.IntRange(0, int(ByAsking)).Draw(t, "why")),
		Until:   rapid.Int64().Draw(t, "until"),
		Epoch:   rapid.Int64().Draw(t, "epoch"),
		Message: rapid.Int64Min(0).Draw(t, "message"),
		Topic:   drawText(t, "of topic"),
	}
	if rapid.Bool().Draw(t, "has err") {
		f.Err = &Error{Code: drawText(t, "code"), Message: drawText(t, "message"), Path: f.Path, Attempt: f.Attempt, Stack: drawText(t, "stack")}
		if rapid.Bool().Draw(t, "chained") {
			f.Err.Chain = []string{drawText(t, "cause"), ""}
		}
	}
	if rapid.Bool().Draw(t, "has answer") {
		f.Answer = &Answer{Way: Way(rapid.IntRange(1, 5).Draw(t, "way")), Case: drawText(t, "case"), Pass: rapid.IntRange(0, 1e9).Draw(t, "pass"), Value: drawText(t, "value")}
	}
	if rapid.Bool().Draw(t, "has wait") {
		f.Wait = &Wait{ID: drawText(t, "id"), Kind: "event", Name: drawText(t, "name"), Topic: drawText(t, "topic"), Deadline: rapid.Int64().Draw(t, "deadline"), HasValue: rapid.Bool().Draw(t, "value")}
		if b := drawBytes(t, "default"); len(b) > 0 {
			f.Wait.Default = b
		}
	}
	if rapid.Bool().Draw(t, "has note") {
		f.Note = &Note{Kind: drawText(t, "note"), At: rapid.Int64().Draw(t, "noted"), To: drawText(t, "to"), By: drawText(t, "by"), Until: f.Until, Text: drawText(t, "text")}
		if f.Wait != nil {
			f.Wait.To, f.Wait.Notes, f.Wait.Notices = f.Note.To, []Note{*f.Note}, []Notice{{After: 1, At: f.At, To: f.Note.By}}
		}
	}
	return f
}

func TestEncodeDecodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := rapid.SliceOfN(rapid.Custom(drawFact), 0, 6).Draw(t, "facts")
		got, err := Decode(Encode(facts))
		if err != nil {
			t.Fatal(err)
		}
		if len(facts)+len(got) > 0 {
			if diff := cmp.Diff(facts, got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
	})
}

func someFacts() []Fact {
	return []Fact{
		{Kind: Done, Path: "b[x]/a", At: 1_700_000_000_000_001, Attempt: 2, Data: []byte(`[["set","/n",1]]`)},
		{Kind: Answered, Path: "l", At: 1_700_000_000_000_002, Answer: &Answer{Way: WayAgain, Pass: 3}},
		{Kind: Waited, Path: "l[3]/w", At: 1_700_000_000_000_003, Call: "event:paid#1", Wait: &Wait{ID: "w_1", Kind: "event", Name: "paid"}},
	}
}

func TestEveryFlippedByteIsDetected(t *testing.T) {
	row := Encode(someFacts())
	h := replay(t, []Row{{Seq: 1, Facts: append([]Fact{{Kind: Began, Data: []byte(`{"a":1}`)}}, someFacts()[1:]...)}})
	for what, read := range map[string]func([]byte) error{
		"row":      func(b []byte) error { _, err := Decode(b); return err },
		"snapshot": func(b []byte) error { _, err := Restore(b); return err },
	} {
		whole := row
		if what == "snapshot" {
			whole = h.Snapshot()
		}
		for i := range whole {
			for bit := range 8 {
				b := append([]byte(nil), whole...)
				b[i] ^= 1 << bit
				if err := read(b); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("%s: bit %d of byte %d flipped: %v", what, bit, i, err)
				}
			}
		}
		for n := range whole {
			if err := read(whole[:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s: cut to %d bytes: %v", what, n, err)
			}
		}
	}
}

// handmade seals a body of this version.
func handmade(body ...byte) []byte { return seal(append([]byte{version}, body...)) }

func TestUnknownFieldsAreSkipped(t *testing.T) {
	got, err := Decode(handmade(
		byte(Tried), tagPath, 1, 'a', 201, 0x85, 0x01, 202, 3, 1, 2, 3, tagAttempt, 1, 0,
		byte(Cleared), tagPath, 1, 'b', 0))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Fact{{Kind: Tried, Path: "a", Attempt: 1}, {Kind: Cleared, Path: "b"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNewerFormatsAreRefused(t *testing.T) {
	row := Encode(someFacts())
	row = seal(append([]byte{version + 1}, row[1:len(row)-4]...))
	for what, b := range map[string][]byte{
		"version": row,
		"kind":    handmade(byte(Forked)+1, 0),
		"kind 0":  handmade(0, 0),
		"reason":  handmade(byte(Delayed), tagWhy, byte(ByAsking)+1, 0),
		"way":     Encode([]Fact{{Kind: Answered, Path: "b", Answer: &Answer{Way: WaySkip + 1}}}),
	} {
		if _, err := Decode(b); !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v, want ErrVersion", what, err)
		}
	}
	snap := NewHistory().Snapshot()
	if _, err := Restore(seal(append([]byte{version + 1}, snap[1:len(snap)-4]...))); !errors.Is(err, ErrVersion) {
		t.Errorf("snapshot: %v", err)
	}
}

func TestMalformedRowsAreCorrupt(t *testing.T) {
	for what, b := range map[string][]byte{
		"no end":          handmade(byte(Tried), tagAttempt, 1),
		"no fields":       handmade(byte(Tried)),
		"long text":       handmade(byte(Tried), tagPath, 9, 'a', 0),
		"huge text":       handmade(byte(Tried), tagPath, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0),
		"endless number":  handmade(byte(Tried), tagAt, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0),
		"cut number":      handmade(byte(Tried), tagAt, 0xff),
		"err no JSON":     handmade(byte(Failed), tagErr, 1, '{', 0),
		"answer no JSON":  handmade(byte(Answered), tagAnswer, 1, '[', 0),
		"wait no JSON":    handmade(byte(Waited), tagWait, 2, '"', '"', 0),
		"many tiny facts": handmade([]byte(strings.Repeat(string([]byte{byte(Tried), 0}), 100))...),
	} {
		if _, err := Decode(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", what, err)
		}
	}
	for what, b := range map[string][]byte{
		"no length":  seal([]byte{version}),
		"long state": seal([]byte{version, 9, '{', '}'}),
		"no JSON":    seal([]byte{version, 0, '{'}),
		"no places":  seal([]byte{version, 0, '{', '}'}),
		"null place": seal(append([]byte{version, 0}, `{"root":{"children":{"a":{"children":{"b":null}}}}}`...)),
		"cancel":     seal(append([]byte{version, 0}, `{"root":{},"cancel":"AAAA"}`...)),
	} {
		if _, err := Restore(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("snapshot, %s: %v, want ErrCorrupt", what, err)
		}
	}
}

// allocated is the bytes that fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileRowsDoNotAllocate(t *testing.T) {
	const size = 1 << 20
	tiny := []byte(strings.Repeat(string([]byte{byte(Tried), 0}), size/2))
	small := []byte(strings.Repeat(string([]byte{byte(Tried), tagPath, 8, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 0}), size/12))
	long := append(binary.AppendUvarint([]byte{byte(Tried), tagData}, 1<<62), make([]byte, size)...)
	for what, body := range map[string][]byte{"tiny facts": tiny, "small facts": small, "a long length": long} {
		b := handmade(body...)
		if n := allocated(func() { _, _ = Decode(b) }); n > 16*uint64(len(b)) {
			t.Errorf("%s: %d bytes of input allocate %d", what, len(b), n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(someFacts()))
	f.Add(Encode(nil))
	for _, r := range everything() {
		f.Add(Encode(r.Facts)[1:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Decode(b)
		_, _ = Restore(b)
		row := seal(append([]byte{version}, b...)) // past the checksum
		_, _ = Restore(row)
		facts, err := Decode(row)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("neither corrupt nor newer: %v", err)
			}
			return
		}
		h := NewHistory()
		if err := h.Apply(Row{Seq: 1, Facts: facts}); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("folding: %v", err)
		}
		_ = Attempts([]Row{{Seq: 1, Facts: facts}})
		again, err := Decode(Encode(facts))
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if diff := cmp.Diff(facts, again); diff != "" {
			t.Fatalf("(-read +read again):\n%s", diff)
		}
	})
}
