package samples_test

import (
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/durable-go/durable/examples/documents/samples"
)

func TestAll(t *testing.T) {
	all := samples.All()
	if len(all) < 26 {
		t.Fatalf("%d samples, want at least 26", len(all))
	}
	if !sort.SliceIsSorted(all, func(i, j int) bool { return all[i].Name < all[j].Name }) {
		t.Error("the samples are not sorted by name")
	}
	empty := 0
	for _, s := range all {
		if !utf8.ValidString(s.Text) {
			t.Errorf("%s: not UTF-8", s.Name)
		}
		if s.Text == "" {
			empty++
		}
		if got, ok := samples.Get(strings.TrimSuffix(s.Name, ".txt")); !ok || got != s {
			t.Errorf("Get(%q) does not find it", s.Name)
		}
	}
	if empty != 1 {
		t.Errorf("%d empty samples, want one", empty)
	}
	if _, ok := samples.Get("../samples.go"); ok {
		t.Error("Get left the folder")
	}
}

// The long sample stands for the documents that do not fit where short ones do, so its
// size and its variety are part of what it is for.
func TestLongSample(t *testing.T) {
	s, ok := samples.Get("contract-port-framework")
	if !ok || len(s.Text) != 200<<10 {
		t.Fatalf("the long contract has %d bytes, want 200 KiB", len(s.Text))
	}
	seen, lines := map[string]bool{}, 0
	for _, l := range strings.Split(s.Text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			seen[l] = true
			lines++
		}
	}
	if len(seen)*100 < lines*90 {
		t.Errorf("%d of %d lines are distinct: too much repeats", len(seen), lines)
	}
}
