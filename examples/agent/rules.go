package main

import (
	"fmt"
	"strings"
)

// think stands in for a model: what to do next, or what to answer, by what is known so far.
func think(t Task) (next Use, answer string) {
	found := t.last("find_order")
	tracked := t.last("track")
	refunded := t.last("refund")
	switch {
	case found == nil:
		return Use{Tool: "find_order", Order: lastWord(t.Ask)}, ""
	case strings.HasPrefix(found.Said, "unknown"):
		return Use{}, "I cannot find that order. Is the number right?"
	case tracked == nil:
		return Use{Tool: "track", Order: found.Use.Order}, ""
	case !strings.HasPrefix(tracked.Said, "lost"):
		return Use{}, "Your parcel is " + tracked.Said + "."
	case refunded == nil:
		return Use{Tool: "refund", Order: found.Use.Order, Euros: euros(found.Said)}, ""
	case strings.HasPrefix(refunded.Said, "not allowed") && t.last("voucher") == nil:
		return Use{Tool: "voucher", Order: found.Use.Order, Euros: 20}, ""
	case t.last("voucher") != nil:
		return Use{}, "Your parcel is lost. A colleague will look into it; until then, " + t.last("voucher").Said + "."
	}
	return Use{}, "Your parcel is lost. " + refunded.Said + "."
}

// last is the newest turn with that tool.
func (t *Task) last(tool string) *Turn {
	for i := len(t.Turns) - 1; i >= 0; i-- {
		if t.Turns[i].Use.Tool == tool {
			return &t.Turns[i]
		}
	}
	return nil
}

func lastWord(text string) string {
	words := strings.Fields(strings.Trim(text, "?!. "))
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

func euros(text string) (n int) {
	_, _ = fmt.Sscanf(text, "%d EUR", &n) // else nothing
	return n
}
