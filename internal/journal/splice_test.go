package journal

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// One operation comes to the same in the text itself and the long way.
func TestPL2_SplicedAndTakenApart(t *testing.T) {
	short, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(drawObject(t, 3))
		at := ""
		for range rapid.IntRange(0, 3).Draw(t, "depth") {
			at = string(pointer([]byte(at), rapid.SampledFrom(append(hardKeys(), "0", "1")).Draw(t, "key")))
		}
		c := change{name: rapid.SampledFrom([]string{"set", "append", "remove", "cut"}).Draw(t, "operation")}
		switch c.name {
		case "set":
			c.value = []byte(drawJSON(t, 2))
		case "append":
			c.value = fmt.Appendf(nil, "[%s]", drawJSON(t, 2))
		case "cut":
			c.value = []byte("1")
		}
		d := draft{text: text}
		err := d.apply(c, at)
		got, ok := splice(c, at, text)
		switch {
		case ok && err != nil:
			t.Fatalf("%s %q in %s gives %s, and is wrong: %v", c.name, at, text, got, err)
		case ok && string(got) != string(d.write(nil)):
			t.Fatalf("%s %q %s in %s gives %s and the long way %s", c.name, at, c.value, text, got, d.write(nil))
		case ok:
			short++
		default:
			refused++
		}
	})
	if short == 0 || refused == 0 {
		t.Errorf("%d spliced, %d not", short, refused)
	}
}

// A member that is there twice counts by its last, whichever way.
func TestPL2_SpliceOfKeysThatComeTwice(t *testing.T) {
	for patch, want := range map[string]string{
		`[["set","/a",3]]`:                   `{"a":1,"b":[],"a":3}`,
		`[["append","/b",[1]]]`:              `{"a":1,"b":[1],"a":2}`,
		`[["set","/c~1",{}]]`:                `{"a":1,"b":[],"a":2,"c/":{}}`,
		`[["set","/a",3],["set","/c~1",{}]]`: `{"a":1,"b":[],"a":3,"c/":{}}`,
	} {
		if got, err := Apply([]byte(patch), []byte(`{"a":1,"b":[],"a":2}`)); err != nil || string(got) != want {
			t.Errorf("%s gives %s, %v; want %s", patch, got, err, want)
		}
	}
}
