package durable

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// A topic is what a message and a wait have in common. The store compares topics
// and knows nothing else of them. There are two kinds: events that are sent to one
// run, and events that are published for a key.

const (
	eventPrefix     = "event:"
	publishedPrefix = "published:"
)

func eventTopic(name string) string { return eventPrefix + name }

// publishedTopic is the topic of an event for a key. The length of the name stands
// first, so that no name and key are taken for another pair.
func publishedTopic(name, key string) string {
	return publishedPrefix + strconv.Itoa(len(name)) + ":" + name + key
}

// readTopic takes a topic apart. ok is false for what is no event.
func readTopic(topic string) (name, key string, ok bool) {
	if name, ok := strings.CutPrefix(topic, eventPrefix); ok {
		return name, "", true
	}
	rest, ok := strings.CutPrefix(topic, publishedPrefix)
	if !ok {
		return "", "", false
	}
	length, rest, ok := strings.Cut(rest, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > len(rest) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// correlation says which events of a wait are published for a key.
type correlation struct {
	key   string
	names []string // none: all
}

func (c *correlation) about(name string) bool {
	return len(c.names) == 0 || slices.Contains(c.names, name)
}

// correlations are those of one wait.
type correlations []correlation

// Correlate makes a wait take events that engine.Publish publishes for this key,
// instead of those that are sent to the run. A wait for any or all of several events may
// name those that it is about, and have one Correlate for each key; the others are sent to the run.
// An event with two keys, and a name that the wait has not, are ErrInvalid.
func Correlate(key string, names ...string) WaitOption {
	return func(o *waitOptions) {
		o.use("Correlate", forEvents)
		o.correlate = append(o.correlate, correlation{key, names})
	}
}

// topic is the topic of one event of a wait.
func (list correlations) topic(name string) journal.Topic {
	if c := list.claims(name); c != nil {
		return journal.Topic{Name: name, Topic: publishedTopic(name, c.key), Shared: true}
	}
	return journal.Topic{Name: name, Topic: eventTopic(name)}
}

// check refuses correlations that do not fit the events of a wait.
func (list correlations) check(names ...string) error {
	for i := range list {
		c := &list[i]
		if m := tree.TextMistake(c.key); m != "" {
			return fmt.Errorf("%w: Correlate: the key: %s", ErrInvalid, m)
		}
		for _, n := range c.names {
			if !slices.Contains(names, n) {
				return fmt.Errorf("%w: Correlate: the wait has no event %q", ErrInvalid, n)
			}
		}
		for _, n := range names {
			if other := list[:i].claims(n); c.about(n) && other != nil {
				return fmt.Errorf("%w: Correlate: the event %q is to be published for %q and for %q; name for each key the events that it is for, each event once",
					ErrInvalid, n, other.key, c.key)
			}
		}
	}
	return nil
}

// claims is the first that is about an event; nil if none is.
func (list correlations) claims(name string) *correlation {
	for i := range list {
		if list[i].about(name) {
			return &list[i]
		}
	}
	return nil
}
