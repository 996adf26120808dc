package journal

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is left of an Each is what a walk over all its items finds, whatever begins
// and ends in whichever order, and whoever asks when.
func TestEA3_RestOfItems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(1, 12).Draw(t, "items")
		h := NewHistory()
		fold := func(f Fact) {
			if err := h.Fold(&f, 1); err != nil {
				t.Fatal(err)
			}
		}
		list := "[" + strings.TrimSuffix(strings.Repeat("0,", total), ",") + "]"
		fold(Fact{Kind: Answered, Path: "s/e", Data: []byte(list), Answer: &Answer{Way: WayItems, Items: total}})
		for range rapid.IntRange(1, 40).Draw(t, "times") {
			n := rapid.IntRange(0, total-1).Draw(t, "item")
			at := fmt.Sprintf("s/e[%d]", n)
			switch p := h.At(at); {
			case p == nil:
				fold(Fact{Kind: Tried, Path: at + "/one", Attempt: 1, Epoch: 1})
			case !p.Closed:
				fold(Fact{Kind: Closed, Path: at})
			}
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0:
				back, err := Restore(h.Snapshot())
				if err != nil {
					t.Fatal(err)
				}
				h = back
			case 1: // a copy goes on by itself
				ways := *h.At("s/e").Ways
				h.At("s/e").Ways = &ways
			case 2:
				continue // nobody looks
			}
			fresh := rapid.IntRange(0, total).Draw(t, "fresh")
			rest := h.At("s/e").Ways.Rest(h.At("s"), "e")
			units := rest.Units(fresh, total)
			begun, unbegun, i := 0, 0, 0
			for n := range total {
				p := h.At(fmt.Sprintf("s/e[%d]", n))
				if p != nil && p.Closed {
					continue
				}
				if i < len(units) && units[i].N == n {
					if units[i].Place != p || units[i].Element != fmt.Sprintf("e[%d]", n) {
						t.Fatalf("item %d is %+v and not %p", n, units[i], p)
					}
					i++
				} else if p != nil || unbegun < fresh {
					t.Fatalf("item %d is missing", n)
				}
				if p == nil {
					unbegun++
				} else {
					begun++
				}
			}
			if i != len(units) || rest.Begun != begun {
				t.Fatalf("%d items too many; %d have begun, and it says %d", len(units)-i, begun, rest.Begun)
			}
		}
	})
}
