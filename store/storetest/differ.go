package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// differ says how two values that stores returned differ, or nothing. A nil
// slice is as good as an empty one, and times are compared as instants.
func differ(a, b any) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmp.Comparer(func(x, y time.Time) bool { return x.Equal(y) }))
}
