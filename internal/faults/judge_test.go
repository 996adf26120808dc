//go:build linux

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// judge closes the engine and holds ledger, acknowledgements and sums against
// what is stored. It returns what is wrong.
func (s *shop) judge(direct store.Opener, stats durable.Stats) []string {
	s.t.Helper()
	s.close()
	ctx := context.Background()
	st, err := direct.OpenStore(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	seen := map[durable.ID]bool{}
	extra := 0
	for f := (store.Filter{Limit: 1000}); ; {
		page, err := st.List(ctx, f)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, x := range page.Executions {
			if x.Workflow != s.flow.Name() {
				continue
			}
			seen[x.ID] = true
			rec, err := st.Load(ctx, x.ID, true)
			if err != nil {
				s.t.Fatal(err)
			}
			extra += s.run(&rec, stats)
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			break
		}
	}
	for id, n := range s.acked {
		if !seen[id] {
			s.fault("order %d was acknowledged as %s and is lost", n, id)
		}
	}
	if len(seen) != len(s.acked) {
		s.fault("%d runs are stored, %d were acknowledged", len(seen), len(s.acked))
	}
	// What ran more often than the plan says was cut off by a lost lease, and counted.
	if int64(extra) > stats.BodiesCut || extra > 0 && stats.LostLeases == 0 {
		s.fault("%d bodies more than planned, %d cut off by %d lost leases", extra, stats.BodiesCut, stats.LostLeases)
	}
	return s.wrong
}

// run checks one run and returns how many bodies ran beyond the plan.
func (s *shop) run(rec *store.Record, stats durable.Stats) (extra int) {
	if rec.Status != store.Completed || rec.Owner != (store.Incarnation{}) || len(rec.Messages) > 0 {
		s.fault("run %s is %s (%s %s), owner %s, %d messages", rec.ID, rec.Status, rec.ErrorCode, rec.Error, rec.Owner, len(rec.Messages))
		return 0
	}
	h := journal.NewHistory()
	tried, waited, taken := map[string]int{}, 0, map[int64]bool{}
	for i, row := range rec.Rows {
		facts, err := journal.Decode(row.Body)
		if err != nil || row.Seq != i+1 {
			s.fault("run %s row %d (%d): %v", rec.ID, row.Seq, i+1, err)
			return 0
		}
		for k := range facts {
			f := &facts[k]
			switch {
			case f.Kind == journal.Tried:
				tried[f.Path]++
			case f.Kind == journal.Waited:
				waited++
			case f.Kind == journal.Delayed && f.Why != journal.ByError, f.Kind == journal.Failed:
				s.fault("run %s row %d: an attempt was used up at %s: %s %v %v", rec.ID, row.Seq, f.Path, f.Kind, f.Why, f.Err)
			case f.Kind == journal.Handed && stats.LostLeases == 0:
				s.fault("run %s row %d: %s was handed over, and no lease was lost", rec.ID, row.Seq, f.Path)
			case f.Kind == journal.Done && f.Path == "pack" && h.At("pack").Failures != 1:
				s.fault("run %s: packed after %d failures, want 1", rec.ID, h.At("pack").Failures)
			}
			if f.Message != 0 {
				if taken[f.Message] {
					s.fault("run %s: message %d was taken twice", rec.ID, f.Message)
				}
				taken[f.Message] = true
			}
			if err := h.Fold(f, row.Seq); err != nil {
				s.fault("run %s row %d: %v", rec.ID, row.Seq, err)
				return 0
			}
		}
		h.Length = row.Seq
	}
	for path, want := range map[string]int{"charge": 1, "pack": 2, "sign": 1 + waited, "end": 1} {
		begun := s.bodies[rec.ID.String()+" "+path]
		extra += max(begun, tried[path]) - want
		if begun < want {
			s.fault("run %s: %s ran %d times, want %d", rec.ID, path, begun, want)
		}
	}
	var o order
	if err := json.Unmarshal(h.State, &o); err != nil {
		s.fault("run %s: %v", rec.ID, err)
	}
	charges := s.nonces[rec.ID]
	if !slices.Contains(charges, o.Charged) || len(charges) > 1+extra {
		s.fault("run %s: charged %q, it has %q", rec.ID, charges, o.Charged)
	}
	return extra
}

// verify is judge for a run that must be right.
func (s *shop) verify(direct store.Opener) durable.Stats {
	s.t.Helper()
	stats := s.engine.Stats()
	wrong := s.judge(direct, stats)
	for i, text := range wrong {
		if i == 10 {
			s.t.Errorf("and %d more", len(wrong)-i)
			break
		}
		s.t.Error(text)
	}
	s.t.Logf("%d orders: %+v", s.done, stats)
	return stats
}

// whole checks that nothing of an engine's is left on the server.
func whole(t *testing.T, address, user string) {
	t.Helper()
	for range 100 {
		n := ask(t, address, fmt.Sprintf("select count(*)::text from pg_stat_activity where usename = '%s' and state <> 'idle'", user))
		if n == "0" {
			return
		}
		pass(t, 50e6)
	}
	t.Errorf("sessions that are left: %s", ask(t, address, fmt.Sprintf("select string_agg(state || ' ' || query, '; ') from pg_stat_activity where usename = '%s'", user)))
}
