package model

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind says what went wrong, and so what to do.
type Kind string

// The kinds of errors.
const (
	Transient   Kind = "transient"    // network, overload, a stream that was cut: try again
	RateLimited Kind = "rate_limited" // try again later
	Quota       Kind = "quota"        // a spend cap or a quota: somebody must act, or a day must pass
	Auth        Kind = "auth"         // the key is not accepted
	TooLong     Kind = "too_long"     // more than the model's window
	Invalid     Kind = "invalid"      // the request is wrong, or there is no such model
	Refused     Kind = "refused"      // the model or a filter will not answer
	Truncated   Kind = "truncated"    // MaxTokens ended an object or a tool call
	BadAnswer   Kind = "bad_answer"   // the answer does not fit, also after repair
	OverBudget  Kind = "over_budget"
	OutOfTurns  Kind = "out_of_turns" // an agent found no answer in MaxTurns
)

// Error is how a call failed. Its text never has keys, headers or prompts in it.
type Error struct {
	Kind       Kind
	Provider   string
	Model      string
	Code       string // the provider's own word
	RequestID  string
	Status     int           // of HTTP; 0: no answer came; 200: an error inside a stream
	RetryAfter time.Duration // 0: not said
	Usage      Usage         // spent before it broke, as far as known
	// Unpaid says that nothing is due for it: the request did not leave, or the provider refused it before the model began. Without
	// it, and without a Usage, an error with status 0 or 200 of the kind Transient, BadAnswer, Refused or Truncated may have been paid.
	Unpaid   bool
	Err      error
	Headroom *Headroom // what the provider says of its limits
}

// maxText is the longest text that an error takes from a provider.
const maxText = 2 << 10

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("ai: ")
	for _, part := range []string{e.Provider, e.Model} {
		if part != "" {
			b.WriteString(oneLine(clip(part, 200)) + ": ")
		}
	}
	b.WriteString(strings.ReplaceAll(string(e.Kind), "_", " "))
	if e.Status != 0 {
		fmt.Fprintf(&b, ", status %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(", " + oneLine(clip(e.Code, 100)))
	}
	if e.Err != nil {
		b.WriteString(": " + printable(clip(e.Err.Error(), maxText)))
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + oneLine(clip(e.RequestID, 100)) + ")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// IsKind says whether err is, or wraps, an *Error of that kind.
func IsKind(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}

// printable is a text without control characters but those between lines: it is to be read in logs and on terminals.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, s)
}

// oneLine is a text without any.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// clip shortens a text to at most n bytes and keeps it valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
