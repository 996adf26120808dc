package memory

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// token is an amount of a name that counts until a time.
type token struct {
	until  time.Time
	amount int64
}

// taken sums the tokens of a name that count.
func (t *tx) taken(name string) (sum int64) {
	list, _ := t.tokens.get(name)
	for _, k := range list {
		if t.now.Before(k.until) {
			sum += k.amount
		}
	}
	return sum
}

// freed is when so much of a name that is taken will have come free; zero if never.
func (t *tx) freed(name string, amount int64) time.Time {
	list, _ := t.tokens.get(name)
	for _, k := range list {
		if !t.now.Before(k.until) {
			continue
		}
		if amount -= k.amount; amount <= 0 {
			return k.until
		}
	}
	return time.Time{}
}

// takeToken takes a token that fits, and forgets those whose time is over.
func (t *tx) takeToken(h store.Hold) {
	list, _ := t.tokens.get(h.Name)
	list = slices.DeleteFunc(slices.Clone(list), func(k token) bool { return !t.now.Before(k.until) })
	list = append(list, token{t.now.Add(h.Window), h.Amount})
	slices.SortStableFunc(list, func(a, b token) int { return a.until.Compare(b.until) })
	t.tokens.over[h.Name] = list
}

// narrow cuts the limit of a claim to what there is room for. scarce is the
// token that allows least, if it is what cuts.
func (t *tx) narrow(limit int, needs []store.Hold) (allowed int, scarce *store.Hold) {
	for i, h := range needs {
		if h.Amount <= 0 {
			continue
		}
		var counts int64
		if h.Window > 0 {
			counts = t.taken(h.Name)
		} else {
			counts = t.held(h.Name, uuid.Nil)
		}
		if room := max(h.Limit-counts, 0) / h.Amount; room < int64(limit) {
			limit, scarce = int(room), nil
			if h.Window > 0 {
				scarce = &needs[i]
			}
		}
	}
	return limit, scarce
}

// whenFree is when one more fits after a claim of which so many are left of
// limit; zero if tokens are not what was scarce.
func (t *tx) whenFree(scarce *store.Hold, limit, left int64) time.Time {
	if scarce == nil || left > 0 || scarce.Amount > scarce.Limit {
		return time.Time{}
	}
	need := t.taken(scarce.Name) + (limit+1)*scarce.Amount - scarce.Limit
	if at := t.freed(scarce.Name, need); !at.IsZero() {
		return at
	}
	return t.now.Add(scarce.Window)
}

// sooner is the earlier of two times, where zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
