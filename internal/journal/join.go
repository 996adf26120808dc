package journal

import (
	"bytes"
	"fmt"
	"strings"
)

// LaneState is what a lane of a parallel block came to.
type LaneState struct {
	Name  string
	State []byte
}

// Join merges what lanes changed: for every member of the state that a lane
// changed, its new value. It returns the state after the join. Two lanes that
// changed one member to different values, or both made one list longer, are a
// conflict, whose error names it and them. States that are no objects are one member as a whole.
func Join(base []byte, lanes []LaneState) ([]byte, error) {
	var few [2][fewMembers]member
	before, ok := distinct(few[0][:0], base)
	if !ok {
		return joinWhole(base, lanes)
	}
	was := keyed(before)
	changed := map[string]LaneState{} // by member: who changed it; nil State: removed
	var order []string
	set := func(key, lane string, value []byte) error {
		first, twice := changed[key]
		if twice && (!bytes.Equal(first.State, value) || first.State == nil != (value == nil) || grew(was.get(key), value)) {
			return fmt.Errorf("lanes %q and %q both changed %q; change it in one lane, or decide with .Merge", first.Name, lane, key)
		}
		if !twice {
			changed[key] = LaneState{lane, value}
			order = append(order, key)
		}
		return nil
	}
	for _, lane := range lanes {
		after, ok := distinct(few[1][:0], lane.State)
		if !ok {
			return joinWhole(base, lanes)
		}
		now := keyed(after)
		for _, m := range after {
			if old := was.get(m.key); old == nil || !bytes.Equal(old, m.value) {
				if err := set(m.key, lane.Name, m.value); err != nil {
					return nil, err
				}
			}
		}
		for _, m := range before {
			if now.get(m.key) == nil {
				if err := set(m.key, lane.Name, nil); err != nil {
					return nil, err
				}
			}
		}
	}
	return rewrite(before, changed, order), nil
}

// grew tells whether a list is another with more items at its end: two lanes
// that both appended have not come to the same, even if they appended the same. No
// list and null are lists without items, as they are for Go.
func grew(old, value []byte) bool {
	a, ok := items(old)
	ok = ok || len(old) == 0 || string(old) == "null"
	b, also := items(value)
	if !ok || !also || len(b) <= len(a) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// rewrite is an object with members set and removed.
func rewrite(before []member, changed map[string]LaneState, order []string) []byte {
	had := keyed(before)
	out := make([]member, 0, len(before)+len(order))
	for _, m := range before {
		if c, ok := changed[m.key]; ok {
			if c.State == nil {
				continue
			}
			m.value = c.State
		}
		out = append(out, m)
	}
	for _, key := range order {
		if had.get(key) == nil {
			out = append(out, member{key: key, quote: quote(key), value: changed[key].State})
		}
	}
	return joinMembers(out)
}

func joinWhole(base []byte, lanes []LaneState) ([]byte, error) {
	out := base
	var who []string
	for _, lane := range lanes {
		if bytes.Equal(lane.State, base) || len(who) > 0 && bytes.Equal(lane.State, out) {
			continue
		}
		out = lane.State
		who = append(who, lane.Name)
	}
	if len(who) > 1 {
		return nil, fmt.Errorf("lanes %s changed the state, which is not an object, to different values; decide with .Merge", strings.Join(who, ", "))
	}
	return out, nil
}
