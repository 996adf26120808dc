package durable

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
)

// CallRecord is what Do, or one item of All, recorded. It stands with the attempt in which it
// was recorded; later attempts that get the same result do not have it again. Nothing of it is
// ever dropped before the run is: results of failed attempts, of loops' passes that are over and of
// visits before a Goto are there, too.
type CallRecord struct {
	Kind    string          `json:"kind"` // do, all
	Name    string          `json:"name"`
	Scope   string          `json:"scope,omitempty"`  // in which it was made, as in review/second
	Count   int             `json:"count"`            // of calls of that kind and name in one visit of the step, and its scope: from 1
	Item    int             `json:"item,omitempty"`   // all: the item's number, from 0
	Attempt int             `json:"attempt"`          // of the step
	At      time.Time       `json:"at"`               // when it was recorded
	Result  json.RawMessage `json:"result,omitempty"` // if there is no Error
	Error   *Failure        `json:"error,omitempty"`
}

func callRecords(list []journal.DoneCall, attempt int) (calls []CallRecord) {
	for _, c := range list {
		r := CallRecord{Attempt: attempt, At: micros(c.At), Result: c.Data, Error: failure(c.Err)}
		rest := ""
		r.Kind, rest, _ = strings.Cut(c.Call, ":")
		hash := strings.LastIndexByte(rest, '#')
		r.Name, rest = rest[:max(hash, 0)], rest[hash+1:]
		if slash := strings.LastIndexByte(rest, '/'); r.Kind == "all" && slash >= 0 {
			rest, r.Item = rest[:slash], number(rest[slash+1:])
		}
		count, scope, _ := strings.Cut(rest, "@")
		r.Count, r.Scope = number(count), scope
		calls = append(calls, r)
	}
	return calls
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// EachExecution goes through all runs that a filter selects, newest first, over all pages; Filter.Limit
// is the size of a page, and its Cursor where to begin. Without options it gives what lists
// give; with WithSteps or WithCalls each run as Execution returns it, loaded one by one. A run that is removed
// meanwhile is passed over; those that begin meanwhile are not seen.
//
// An error about one run comes with that run's ID, and the loop may go on; one of the list comes
// with nil and is the last.
func (e *Engine) EachExecution(ctx context.Context, f Filter, opts ...QueryOption) iter.Seq2[*Execution, error] {
	whole := querying(opts) != queryOptions{}
	f.Count = false
	return func(yield func(*Execution, error) bool) {
		for f := f; ; {
			page, err := e.Executions(ctx, f)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, x := range page.Executions {
				if whole {
					full, err := e.Execution(ctx, x.ID, opts...)
					if errors.Is(err, ErrNotFound) {
						continue
					}
					if err != nil {
						if !yield(x, err) || ctx.Err() != nil {
							return
						}
						continue
					}
					x = full
				}
				if !yield(x, nil) {
					return
				}
			}
			if f.Cursor = page.Cursor; f.Cursor == "" {
				return
			}
		}
	}
}
