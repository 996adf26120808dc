package journal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ofItems is a history with a spread Each of so many items.
func ofItems(t *testing.T, n int) *History {
	t.Helper()
	h := NewHistory()
	fold1(t, h, Fact{Kind: Began, Data: []byte(`{}`)})
	fold1(t, h, Fact{Kind: Answered, Path: "e", At: 7, Answer: &Answer{Way: WayItems, Items: n, Spread: true, Parts: []Part{{0, "hash"}}}})
	return h
}

func TestEA6_RangesAreWhatTheyWereMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		has := make([]bool, 40)
		var list []Range
		for range rapid.IntRange(0, 4).Draw(t, "facts") {
			var numbers []int
			for n := range has {
				if !has[n] && rapid.Bool().Draw(t, "in") {
					numbers = append(numbers, n)
					has[n] = true
				}
			}
			rand.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
			list = joinRanges(list, Ranges(numbers))
		}
		count := 0
		var open []int
		for n := range has {
			if In(list, n) != has[n] {
				t.Fatalf("%d is in %v: %v", n, list, In(list, n))
			}
			if has[n] {
				count++
			} else {
				open = append(open, n)
			}
		}
		if Count(list) != count {
			t.Fatalf("%v are %d, want %d", list, Count(list), count)
		}
		for i := 1; i < len(list); i++ {
			if list[i][0] <= list[i-1][1]+1 {
				t.Fatalf("%v are not apart", list)
			}
		}
		var got []int
		(&Spread{Begun: len(has), Ended: list}).EachOpen(func(n int) { got = append(got, n) })
		if !slices.Equal(got, open) {
			t.Fatalf("open of %v are %v, want %v", list, got, open)
		}
	})
}

func TestEA6_ScatteredIsFolded(t *testing.T) {
	h := ofItems(t, 10)
	no := &Error{Code: "no"}
	live := h.Live
	fold1(t, h, Scatter("e", Spreading{Begun: 6}, nil, 8))
	fold1(t, h, Scatter("e", Spreading{Ended: []Range{{1, 2}, {5, 5}}, Failed: []Range{{5, 5}}}, no, 9))
	fold1(t, h, Scatter("e", Spreading{From: 6, Begun: 2, Ended: []Range{{0, 0}, {7, 7}}, Failed: []Range{{0, 0}}}, &Error{Code: "later"}, 9))
	want := &Spread{At: 7, Begun: 8, Ended: []Range{{0, 2}, {5, 5}, {7, 7}}, Failed: []Range{{0, 0}, {5, 5}}, Err: no}
	restored, err := Restore(h.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*History{h, restored} {
		got := h.OpenItems("")
		if diff := cmp.Diff([]ItemsAt{{"e", want}}, got); diff != "" {
			t.Error(diff)
		}
		if h.Live != live || got[0].Spread.Open() != 3 {
			t.Errorf("%d facts live, want %d; %d open", h.Live, live, got[0].Spread.Open())
		}
		fold1(t, h, Fact{Kind: Done, Path: "e"})
		if len(h.OpenItems("")) != 0 {
			t.Error("what has ended has items")
		}
	}
}

func TestEA6_ScatteredThatCannotBe(t *testing.T) {
	for why, f := range map[string]Fact{
		"more than there are":       Scatter("e", Spreading{From: 4, Begun: 7}, nil, 0),
		"twice":                     Scatter("e", Spreading{From: 3, Begun: 1}, nil, 0),
		"one left out":              Scatter("e", Spreading{From: 5, Begun: 1}, nil, 0),
		"fewer than none":           Scatter("e", Spreading{From: 4, Begun: -1}, nil, 0),
		"an end before a beginning": Scatter("e", Spreading{Ended: []Range{{4, 4}}}, nil, 0),
		"an end below zero":         Scatter("e", Spreading{Ended: []Range{{-1, 0}}}, nil, 0),
		"a range backwards":         Scatter("e", Spreading{Ended: []Range{{2, 1}}}, nil, 0),
		"an end twice":              Scatter("e", Spreading{Ended: []Range{{0, 1}}}, nil, 0),
		"of no Each":                Scatter("x", Spreading{Begun: 1}, nil, 0),
		"no data":                   {Kind: Scattered, Path: "e"},
		"no path":                   {Kind: Scattered, Data: []byte(`{}`)},
	} {
		h := ofItems(t, 10)
		fold1(t, h, Scatter("e", Spreading{Begun: 4, Ended: []Range{{1, 1}}}, nil, 0))
		if err := h.Fold(&f, 9); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", why, err)
		}
	}
}
