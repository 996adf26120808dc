package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/model"
)

const (
	anthropicLimits = "Anthropic-Ratelimit-"
	openaiLimits    = "X-Ratelimit-"
)

// ReadHeadroom reads what an answer's headers say of limits; nil if they say nothing. OpenAI counts
// tokens of input and output together; that limit stands as the input's.
func ReadHeadroom(h http.Header, now time.Time) *model.Headroom {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	room := model.Headroom{
		Requests: window(h, now, "requests"),
		Input:    window(h, now, "input-tokens", "tokens"),
		Output:   window(h, now, "output-tokens"),
	}
	if room == (model.Headroom{}) {
		return nil
	}
	return &room
}

// WriteHeadroom is the opposite of ReadHeadroom, for a server that imitates a provider of that wire.
func WriteHeadroom(h http.Header, wire string, room model.Headroom, now time.Time) {
	switch wire {
	case Anthropic:
		for what, w := range map[string]model.Window{"Requests": room.Requests, "Input-Tokens": room.Input, "Output-Tokens": room.Output} {
			if w.Limit > 0 {
				h.Set(anthropicLimits+what+"-Limit", strconv.FormatInt(w.Limit, 10))
				h.Set(anthropicLimits+what+"-Remaining", strconv.FormatInt(w.Remaining, 10))
				h.Set(anthropicLimits+what+"-Reset", now.Add(w.Reset).UTC().Format(time.RFC3339))
			}
		}
	case Responses, Chat:
		for what, w := range map[string]model.Window{"Requests": room.Requests, "Tokens": room.Input} {
			if w.Limit > 0 {
				h.Set(openaiLimits+"Limit-"+what, strconv.FormatInt(w.Limit, 10))
				h.Set(openaiLimits+"Remaining-"+what, strconv.FormatInt(w.Remaining, 10))
				h.Set(openaiLimits+"Reset-"+what, w.Reset.String())
			}
		}
	}
}

// window reads one limit, by its name at Anthropic, and the one at OpenAI if that differs.
func window(h http.Header, now time.Time, names ...string) model.Window {
	get := func(part string) (string, bool) { return limitHeader(h, part, names) }
	limit, _ := get("limit")
	n, err := strconv.ParseInt(limit, 10, 64)
	if err != nil || n <= 0 {
		return model.Window{}
	}
	w := model.Window{Limit: n}
	if left, ok := get("remaining"); ok {
		w.Remaining, err = strconv.ParseInt(left, 10, 64)
	} else {
		err = strconv.ErrSyntax
	}
	if err != nil {
		return model.Window{} // a limit without what remains of it would look spent
	}
	w.Remaining = min(max(w.Remaining, 0), n)
	reset, _ := get("reset")
	if at, err := time.Parse(time.RFC3339, reset); err == nil {
		w.Reset = clamp(at.Sub(now))
	} else {
		w.Reset = Delay(reset)
	}
	return w
}

func limitHeader(h http.Header, part string, names []string) (string, bool) {
	for i, name := range names {
		keys := []string{openaiLimits + part + "-" + name}
		if i == 0 {
			keys = append(keys, anthropicLimits+name+"-"+part)
		}
		for _, key := range keys {
			if v := strings.TrimSpace(h.Get(key)); v != "" {
				return v, true
			}
		}
	}
	return "", false
}

// spent says whether headers say that nothing remains of a limit.
func spent(h http.Header, names ...string) bool {
	left, ok := limitHeader(h, "remaining", names)
	n, err := strconv.ParseInt(left, 10, 64)
	return ok && err == nil && n <= 0
}
