//go:build fail

package crash

import (
	"encoding/json"
	"slices"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// bank counts the money. A keyed effect counts once per key, as at a bank that
// knows the key; a naive one each time. Every naive effect beyond the first
// needs a body beyond the first, and that is explained by a death.
func (j *judge) bank() {
	balance := 0
	for id, lines := range j.lines {
		r := j.records[id]
		if r == nil || r.hist == nil {
			continue
		}
		applied, bodies := map[string]map[string]int{}, map[string]int{} // by path: amounts by key; begins
		for _, l := range lines {
			switch l.Kind {
			case "begin":
				bodies[l.Path]++
			case "effect":
				if applied[l.Path] == nil {
					applied[l.Path] = map[string]int{}
				}
				applied[l.Path][l.Key] = l.Amount
			}
		}
		switch r.Workflow {
		case "transfer":
			balance += j.transfer(r, applied, bodies)
		case "once":
			j.charged(r, lines)
		case "calls":
			j.called(r, lines)
		}
	}
	if balance != 0 && j.final {
		j.fault("money is not conserved: %d too much", balance)
	}
}

// transfer returns what a transfer added to the sum of all accounts, not
// counting what extra bodies of a naive one explain.
func (j *judge) transfer(r *record, applied map[string]map[string]int, bodies map[string]int) (total int) {
	var o order
	if err := json.Unmarshal(r.hist.Input, &o); err != nil {
		j.fault("run %s: %v", r.ID, err)
		return 0
	}
	for path, amount := range map[string]int{"debit": -o.Amount, "credit": o.Amount} {
		n := len(applied[path])
		once := 0 // what a naive one did more than once, its extra bodies explain
		for _, got := range applied[path] {
			once = got
			if got != amount {
				j.fault("run %s: %s moved %d, the order is %d", r.ID, path, got, amount)
			}
		}
		done := r.hist.At(path) != nil && r.hist.At(path).Done
		switch {
		case done && n == 0:
			j.fault("run %s: %s is done and has no effect", r.ID, path)
		case o.Keyed && n > 1:
			j.fault("run %s: the keyed %s was applied %d times", r.ID, path, n)
		case n > bodies[path]:
			j.fault("run %s: %d effects of %s in %d bodies", r.ID, n, path, bodies[path])
		}
		total += once
	}
	return total
}

// charged checks that an effect that must not happen twice did not.
func (j *judge) charged(r *record, lines []line) {
	n := 0
	for _, l := range lines {
		if l.Kind == "effect" {
			n++
		}
	}
	paused := slices.ContainsFunc(j.w.deaths, func(d death) bool { return d.how == "paused" })
	if n > 1 && !paused { // a body that was paused cannot be kept from going on
		j.fault("run %s charged %d times, and is AtMostOnce", r.ID, n)
	}
	if p := r.hist.At("charge"); p != nil && p.Done && n == 0 {
		j.fault("run %s: the charge is done and did not happen", r.ID)
	}
}

// called checks that the results of durable calls are those that were recorded,
// and that no function ran again after that.
func (j *judge) called(r *record, lines []line) {
	made := map[string]line{}
	for _, l := range lines {
		if l.Kind == "call" {
			made[l.Nonce] = l
		}
	}
	var (
		recorded []string
		handed   = map[int64]bool{} // owners that let go in order, or lost their lease
	)
	for _, row := range r.rows {
		for _, f := range row.Facts {
			if f.Kind == journal.Handed {
				handed[f.Epoch] = true
			}
			if f.Kind != journal.Called {
				continue
			}
			var nonce string
			if err := json.Unmarshal(f.Data, &nonce); err != nil {
				j.fault("run %s row %d: %v", r.ID, row.Seq, err)
			}
			l, ok := made[nonce]
			if !ok || l.Epoch != row.Epoch {
				j.fault("run %s row %d: epoch %d records %q for %s, and the ledger has %+v", r.ID, row.Seq, row.Epoch, nonce, f.Call, l)
			}
			recorded = append(recorded, nonce)
		}
	}
	var s nonces
	if err := json.Unmarshal(r.hist.State, &s); err != nil {
		j.fault("run %s: %v", r.ID, err)
	}
	if r.Status == store.Completed && !slices.Equal(s.All, recorded) {
		j.fault("run %s: the body had %v, recorded is %v", r.ID, s.All, recorded)
	}
	if extra := len(made) - len(recorded); extra > len(j.w.deaths)+len(handed) {
		j.fault("run %s: %d calls were made beyond the recorded ones, %d processes died and %d owners let go", r.ID, extra, len(j.w.deaths), len(handed))
	}
}
