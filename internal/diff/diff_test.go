package diff_test

import (
	"slices"
	"testing"

	"github.com/durable-go/durable/internal/diff"
)

func TestLines(t *testing.T) {
	for _, c := range []struct {
		a, b, want []string
		changes    int
	}{
		{nil, nil, nil, 0},
		{[]string{"a", "b"}, []string{"a", "b"}, nil, 0},
		{nil, []string{"a"}, []string{"+ a"}, 1},
		{[]string{"a"}, nil, []string{"- a"}, 1},
		{[]string{"a", "b", "c", "d", "e"}, []string{"a", "b", "x", "d", "e"}, []string{"  b", "- c", "+ x", "  d"}, 2},
		{[]string{"a", "b", "c"}, []string{"b", "c", "d"}, []string{"- a", "  b", "  c", "+ d"}, 2},
	} {
		if got, changes := diff.Lines(c.a, c.b); !slices.Equal(got, c.want) || changes != c.changes {
			t.Errorf("%q, %q: %q, %d; want %q, %d", c.a, c.b, got, changes, c.want, c.changes)
		}
	}
}
