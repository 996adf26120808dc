package durable

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

type scopeKey struct{}

// Scope gives a part of a body names of its own: durable calls with the context that it returns are counted apart
// from those of the same name elsewhere in the body. So a part whose result is recorded may be left out when the body
// runs again, and calls behind it keep their names. Scopes nest. The second scope of a name within its scope is
// another one, and so on, in the order in which the body asks: ask for a scope also when its part is left out.
//
// label is the name, with its number behind it from the second one on ("review", "review~2"). Outside a step the context
// is returned as it is.
func Scope(ctx context.Context, name string) (inner context.Context, label string) {
	label = strings.ReplaceAll(name, "#", "~")
	b := bodyOf(ctx)
	if b == nil || b.h.Misuse() != nil {
		return ctx, label
	}
	if m := tree.TextMistake(name); m != "" {
		label = "scope"
	}
	outer := scopeOf(ctx)
	key := "scope:" + label + outer
	b.counts[key]++
	if n := b.counts[key]; n > 1 {
		label += "~" + strconv.Itoa(n)
	}
	if outer == "" {
		outer = "@"
	} else {
		outer += "/"
	}
	return context.WithValue(ctx, scopeKey{}, outer+label), label
}

// scopeOf is the scope's part of call keys: "" or "@review/second". There is no # in it: the last one of a key stands
// before the count.
func scopeOf(ctx context.Context) string {
	s, _ := ctx.Value(scopeKey{}).(string)
	return s
}

// Recorded says whether the next Do with that name, made with this context, has a record, so that
// its function will not be called. It asks nobody, and counts as no call. Outside a step it is false.
func Recorded(ctx context.Context, name string) bool {
	b := bodyOf(ctx)
	if b == nil || b.h.Misuse() != nil {
		return false
	}
	scope := scopeOf(ctx)
	return b.h.Calls["do:"+name+"#"+strconv.Itoa(b.counts["do:"+name+scope]+1)+scope] != nil
}

// recordedBefore is the keys of what is recorded when a body begins; nil if nothing is.
func recordedBefore(h *run.Handle) map[string]bool {
	if len(h.Calls) == 0 {
		return nil
	}
	keys := make(map[string]bool, len(h.Calls))
	for key := range h.Calls {
		keys[key] = true
	}
	return keys
}

// Unvisited returns the names of Dos that had a record when the body began (again), and to which it has not come since: those that begin
// with a prefix, sorted. There may be some because the body goes another way this time, or is not there yet. A new call beside one of
// them may mean that its name changes from time to time, so that its record is never found. It asks nobody. Outside a step there are none.
func Unvisited(ctx context.Context, prefix string) (names []string) {
	b := bodyOf(ctx)
	if b == nil || b.h.Misuse() != nil {
		return nil
	}
	for key := range b.before {
		name, ok := strings.CutPrefix(key, "do:"+prefix)
		if end := strings.LastIndexByte(name, '#'); ok && end >= 0 {
			names = append(names, prefix+name[:end])
		}
	}
	slices.Sort(names)
	return names
}
