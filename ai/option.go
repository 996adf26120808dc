package ai

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Option changes one call.
type Option func(*settings)

// settings is what the options of a call come to.
type settings struct {
	system      string
	before      []Message
	files       []File
	maxTokens   int
	temperature *float64
	stop        []string
	effort      string
	cache       time.Duration
	extra       map[string]any
	repair      *int
	fallback    []string
	patience    *time.Duration
	idle        time.Duration
	keep        bool
	key         string
	result      *Response
	onDelta     func(Delta)
	streamTo    string
	render      *rendering

	mistakes []error
}

// What holds without an option.
const (
	defaultMaxTokens = 4096
	defaultPatience  = time.Hour
	maxMaxTokens     = 1 << 24
	maxKey           = 150
)

func settle(opts []Option) *settings {
	s := new(settings)
	for _, opt := range opts {
		if opt == nil {
			s.wrong("an option is nil")
			continue
		}
		opt(s)
	}
	return s
}

func (s *settings) wrong(format string, args ...any) {
	s.mistakes = append(s.mistakes, fmt.Errorf(format, args...))
}

// check returns what is wrong with the options together.
func (s *settings) check() error {
	if len(s.mistakes) == 0 {
		return nil
	}
	return permanent(&Error{Kind: Invalid, Err: errors.Join(s.mistakes...)})
}

// System is what holds for the whole conversation: who the model is to be, and by which rules.
func System(text string) Option { return func(s *settings) { s.system = text } }

// Messages are earlier turns of the conversation, before the prompt.
func Messages(earlier ...Message) Option {
	return func(s *settings) { s.before = append(s.before, earlier...) }
}

// Files go with the prompt: images, PDF. Not every model reads every kind.
func Files(files ...File) Option {
	return func(s *settings) {
		for _, f := range files {
			if f.MIME == "" || len(f.Data) == 0 {
				s.wrong("Files: %q needs a MIME type and data", f.Name)
			}
		}
		s.files = append(s.files, files...)
	}
}

// MaxTokens is how long an answer may be. Without it: 4,096.
func MaxTokens(n int) Option {
	return func(s *settings) {
		if s.maxTokens = n; n < 1 || n > maxMaxTokens {
			s.wrong("MaxTokens is %d; give a number from 1 to %d", n, maxMaxTokens)
		}
	}
}

// Temperature is how much chance there is in an answer. It is sent only when set, since
// some models refuse it.
func Temperature(f float64) Option {
	return func(s *settings) {
		if s.temperature = &f; !(f >= 0) || math.IsInf(f, 0) {
			s.wrong("Temperature is %v; give a number of at least 0", f)
		}
	}
}

// StopAt ends an answer before any of these texts.
func StopAt(texts ...string) Option {
	return func(s *settings) {
		if slices.Contains(texts, "") {
			s.wrong("StopAt: a text is empty")
		}
		s.stop = append(s.stop, texts...)
	}
}

// Effort is how hard a model is to think: "low", "medium" or "high".
func Effort(level string) Option {
	return func(s *settings) {
		if s.effort = level; level != "low" && level != "medium" && level != "high" {
			s.wrong("Effort is %q; give low, medium or high", level)
		}
	}
}

// Repair is how often a model is shown what is wrong with its object, and asked again. Without
// it: once.
func Repair(turns int) Option {
	return func(s *settings) {
		if s.repair = &turns; turns < 0 || turns > 10 {
			s.wrong("Repair is %d; give a number from 0 to 10", turns)
		}
	}
}

// Fallback names models to ask, in this order, when the first is overloaded, refuses, or finds
// the request too long.
func Fallback(models ...string) Option {
	return func(s *settings) {
		if len(models) == 0 || slices.Contains(models, "") {
			s.wrong("Fallback: name models")
		}
		s.fallback = append(s.fallback, models...)
	}
}

// Patience is for how long a call waits out an overload before its step fails. Without it: 1 hour.
// Waiting holds no slot and no goroutine. It does not bound waits for rate limits and for people.
func Patience(d time.Duration) Option {
	return func(s *settings) {
		if s.patience = &d; d < 0 {
			s.wrong("Patience is %s", d)
		}
	}
}

// Idle is for how long a provider may send nothing before the try counts as failed. Without it: 60 s.
func Idle(d time.Duration) Option {
	return func(s *settings) {
		if s.idle = d; d <= 0 {
			s.wrong("Idle is %s; give a positive time", d)
		}
	}
}

// Keep says that a recorded answer is good for later attempts of the step too. Without it a step
// that failed asks afresh, since it may have failed because of the answer.
func Keep() Option { return func(s *settings) { s.keep = true } }

// Key names a call by what it is for instead of by what it asks: the recorded answer is then
// used also if the text has changed, as with a time of day in it.
func Key(name string) Option {
	return func(s *settings) {
		if s.key = name; name == "" || len(name) > maxKey || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			s.wrong("Key: give a name of 1 to %d bytes without control characters", maxKey)
		}
	}
}

// Result puts the full response into r, whose message, usage and cost a shorter call leaves out. It is
// filled whenever an answer came, also if that answer is then refused.
func Result(r *Response) Option {
	return func(s *settings) {
		if s.result = r; r == nil {
			s.wrong("Result: the response is nil")
		}
	}
}

// OnDelta sees pieces of the answer while they come. It sees nothing of a recorded answer, and
// it sees the beginning of an answer again when a try was cut: show them, and keep them nowhere.
func OnDelta(fn func(Delta)) Option {
	return func(s *settings) {
		if s.onDelta = fn; fn == nil {
			s.wrong("OnDelta: the function is nil")
		}
	}
}

// Cache asks the provider to keep the stable beginning of the request for up to an hour, where
// it does not do so by itself. Writing into a cache costs, reading from it saves.
func Cache(ttl time.Duration) Option {
	return func(s *settings) {
		if s.cache = ttl; ttl <= 0 || ttl > time.Hour {
			s.wrong("Cache is %s; give a time up to 1 hour", ttl)
		}
	}
}

// Extra is merged into the body of the request last, in the words of the provider. What it says
// to one provider it says to all, fallbacks too.
func Extra(fields map[string]any) Option {
	return func(s *settings) {
		if s.extra == nil {
			s.extra = make(map[string]any)
		}
		maps.Copy(s.extra, fields)
	}
}
