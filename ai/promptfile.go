package ai

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// defaults are what the head of a prompt's file says of its calls. What a call says itself comes before.
type defaults struct {
	model       string
	system      string
	maxTokens   int
	temperature *float64
	effort      string
}

// fill gives a call what it does not say itself.
func (d *defaults) fill(s *settings) {
	if s.system == "" {
		s.system = d.system
	}
	if s.maxTokens == 0 {
		s.maxTokens = d.maxTokens
	}
	if s.temperature == nil {
		s.temperature = d.temperature
	}
	if s.effort == "" {
		s.effort = d.effort
	}
}

// fence is the line before and after the head of a file.
const fence = "---"

// readHead reads the head of a file, if it has one: lines "key: value" between two lines ---. The body is what comes after it, in which
// lines count from after. An error names the line.
func readHead(text string) (d defaults, body string, after int, err error) {
	first, rest, _ := strings.Cut(text, "\n")
	if trimmed(first) != fence {
		return d, text, 0, nil
	}
	seen := make(map[string]bool)
	for n := 2; rest != ""; n++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		line = trimmed(line)
		switch key, value, ok := strings.Cut(line, ":"); {
		case line == fence:
			return d, rest, n, nil
		case strings.TrimSpace(line) == "":
		case !ok:
			return d, "", 0, fmt.Errorf("line %d: %q is no line of a head: it reads key: value, and the head ends with a line %s", n, clip(line, 80), fence)
		case seen[key]:
			return d, "", 0, fmt.Errorf("line %d: %s is there twice", n, clip(key, 80))
		default:
			seen[key] = true
			if err := d.set(key, strings.TrimSpace(value)); err != nil {
				return d, "", 0, fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	return d, "", 0, fmt.Errorf("line 1: the head begins with %s and has no end: a line %s after it", fence, fence)
}

// trimmed is a line without what editors leave at its end.
func trimmed(line string) string { return strings.TrimRight(line, " \t\r") }

// set takes a line of the head. What its value may be is up to the option of that name.
func (d *defaults) set(key, value string) error {
	keys := map[string]func() error{
		"model": func() error {
			d.model = value
			return checkModelName(value)
		},
		"system": func() error {
			d.system = value
			return nil
		},
		"max_tokens": func() error {
			n, err := strconv.Atoi(value)
			if err != nil {
				return fmt.Errorf("max_tokens is %q; give a whole number", clip(value, 80))
			}
			d.maxTokens = n
			return tried(MaxTokens(n))
		},
		"temperature": func() error {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return fmt.Errorf("temperature is %q; give a number", clip(value, 80))
			}
			d.temperature = &f
			return tried(Temperature(f))
		},
		"effort": func() error {
			d.effort = value
			return tried(Effort(value))
		},
	}
	take := keys[key]
	switch {
	case take == nil:
		return fmt.Errorf("%q is no key; the keys are %s", clip(key, 80), strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	case value == "":
		return fmt.Errorf("%s has no value; leave the line out", key)
	case value == "|" || value == ">" || value[0] == '"' || value[0] == '\'':
		return fmt.Errorf("%s is %s; a value is the rest of the line as it stands: this is no YAML, and has no quotes", key, clip(value, 80))
	}
	return take()
}

// tried is what an option says of its value.
func tried(o Option) error {
	s := settle([]Option{o})
	return errors.Join(s.mistakes...)
}

// checkModelName says what is wrong with a name that code may use. Whether it leads anywhere is up to configuration.
func checkModelName(name string) error {
	if _, err := parse(name, false); strings.Contains(name, ":") || len(name) > maxName || !printable(name) {
		return err
	}
	return nil
}
