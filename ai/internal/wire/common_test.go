package wire

import (
	"strings"
	"testing"
)

// What two texts have in common is found with work that the shorter one bounds, whatever the longer one repeats.
func TestCommonIsBounded(t *testing.T) {
	text := strings.Repeat(" ", 2000)
	c := NewCommon(text)
	for range 3 {
		c.Mark(strings.Repeat(" ", 1<<14), 16)
	}
	if c.marks > 16*len(text) {
		t.Errorf("%d bytes of a text of %d were marked", c.marks, len(text))
	}
	for i, cut := range c.Cut {
		if !cut {
			t.Fatalf("byte %d was not found", i)
		}
	}
}

func TestCommon(t *testing.T) {
	c := NewCommon("say abcdef, not cdefgh, and abcdef")
	c.Mark("xxabcdefxx", 6)
	c.Mark("cdefg", 5)
	c.Mark("say", 4)
	var b strings.Builder
	for i, cut := range c.Cut {
		if cut {
			b.WriteByte('_')
		} else {
			b.WriteByte(c.text[i])
		}
	}
	if want := "say ______, not _____h, and ______"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
