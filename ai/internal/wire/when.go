package wire

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxWait is the longest time to wait that is believed.
const MaxWait = 24 * time.Hour

// ComeBack says when to try again: what the first header says that can be read, or else what the
// body says (0: nothing), or else when the limit is full again of which nothing remains. It is at most MaxWait and not negative; 0 means
// that nothing was said, or now. The time of the answer's Date header counts, if there is one, so that clocks may differ.
func ComeBack(h http.Header, body time.Duration, now time.Time) time.Duration {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	if d, ok := number(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d
	}
	if d, ok := number(h.Get("Retry-After"), time.Second); ok {
		return d
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return clamp(at.Sub(now))
	}
	if body > 0 {
		return clamp(body)
	}
	var longest time.Duration
	if room := ReadHeadroom(h, now); room != nil {
		for _, w := range []struct {
			empty bool
			reset time.Duration
		}{
			{spent(h, "requests"), room.Requests.Reset},
			{spent(h, "input-tokens", "tokens"), room.Input.Reset},
			{spent(h, "output-tokens"), room.Output.Reset},
		} {
			if w.empty {
				longest = max(longest, w.reset)
			}
		}
	}
	return clamp(longest)
}

// Delay reads a duration such as "46s" or "1.5s"; 0 if it is none.
func Delay(s string) time.Duration {
	d, err := time.ParseDuration(strings.TrimSpace(s))
	if err != nil {
		return 0
	}
	return clamp(d)
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), MaxWait) }

func number(s string, unit time.Duration) (time.Duration, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if math.IsInf(f, 1) { // also a number that is too large
		return MaxWait, true
	}
	if err != nil || math.IsNaN(f) || math.IsInf(f, -1) {
		return 0, false
	}
	return time.Duration(min(max(f*float64(unit), 0), float64(MaxWait))), true
}
