package durable

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/durable-go/durable/internal/journal"
)

const (
	maxErrorText = 64 << 10
	maxChain     = 32
)

// record turns any error into one that can be kept. It cannot fail: errors
// that panic, lie or are huge are cut and described.
func record(err error, code, path string, attempt int) *journal.Error {
	e := &journal.Error{Code: code, Message: errorText(err), Path: path, Attempt: attempt}
	seen := 0
	var walk func(err error)
	walk = func(err error) {
		for err != nil && seen < maxChain {
			list, next := unwrap(err)
			if list != nil {
				for _, one := range list {
					if one != nil {
						seen++
						e.Chain = append(e.Chain, cut(errorText(one), 4<<10))
						walk(one)
					}
				}
				return
			}
			if err = next; err != nil {
				seen++
				e.Chain = append(e.Chain, cut(errorText(err), 4<<10))
			}
		}
	}
	walk(err)
	return e
}

// unwrap asks an error for what it wraps, without trusting it.
func unwrap(err error) (list []error, next error) {
	defer func() {
		if recover() != nil {
			list, next = nil, nil
		}
	}()
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		return nil, x.Unwrap()
	case interface{ Unwrap() []error }:
		return x.Unwrap(), nil
	}
	return nil, nil
}

// errorText is an error's text, cut, valid UTF-8, and also there if Error
// panics.
func errorText(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("an error of type %T whose Error method panics", err)
		}
	}()
	return cut(err.Error(), maxErrorText)
}

// cut shortens a text to at most n bytes, with a mark, and mends its UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		const mark = " … (cut)"
		end := n - len(mark)
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + mark
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// isErr is errors.Is that survives errors with panicking methods.
func isErr(err, target error) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return errors.Is(err, target)
}

// asErr is errors.As that survives errors with panicking methods.
func asErr[T error](err error) (t T, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return as[T](err)
}

func failure(e *journal.Error) *Failure {
	if e == nil {
		return nil
	}
	f := Failure(*e)
	return &f
}
