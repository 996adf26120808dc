package sqlite

import (
	"context"
	"flag"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/storetest"
)

// listener opens stores and remembers which statements they prepared.
type listener struct {
	store.Opener
	t    *testing.T
	said map[string]bool
}

func (l listener) OpenStore(ctx context.Context) (store.Store, error) {
	st, err := l.Opener.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	s := st.(*Store)
	writer := s.writer
	readers := make([]*conn, 0, readerCount)
	for range readerCount {
		<-s.readers
		c, err := s.openReader()
		if err != nil {
			return nil, err
		}
		readers = append(readers, c)
	}
	for _, c := range readers {
		s.readers <- c
	}
	l.t.Cleanup(func() {
		for _, c := range append(readers, writer) {
			for q := range c.stmts {
				l.said[q] = true
			}
		}
	})
	return s, nil
}

// The suite must pass, and no statement that it makes us run may walk over a
// whole table: what has ended or sleeps costs nothing. Exceptions are named.
func TestConformance(t *testing.T) {
	said := map[string]bool{}
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			path := filepath.Join(t.TempDir(), "durable.db")
			return storetest.Harness{Opener: listener{Open(path), t, said}, Users: users(path), Bodies: bodies(path)}
		})
	})
	if t.Failed() || strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return // not all statements were heard
	}
	for _, q := range []string{nextPriority, dueNow, dueLater, anyBlocked, unblocked, pageOfAll, pageByKey, pageByStatus, pageByWorkflow, pageByParent, countByParent, waitByKind, waitByExecution, waitByID} {
		said[q] = true
	}
	if len(said) < 40 {
		t.Fatalf("only %d statements were heard: the test would pass on nothing", len(said))
	}
	c := openTest(t, filepath.Join(t.TempDir(), "durable.db")).writer
	harmless := []string{
		"SCAN CONSTANT ROW",
		"SCAN lease",               // one row per worker
		"SCAN pause",               // one row per paused queue
		"SCAN d VIRTUAL TABLE",     // the arguments
		"SCAN want VIRTUAL TABLE",  // the arguments
		"SCAN json_each",           // the arguments
		"SCAN sqlite_",             // the schema
		"SCAN kind",                // lists of fingerprints, jumped through
		"SCAN below",               // a family, walked down
		"SCAN family",              // a family, walked down
		"SCAN k",                   // kinds of waits, jumped through
		"SCAN (subquery",           // a union of searches
		"SCAN wait USING COVERING", // min() by an index reads one entry
	}
	for _, q := range slices.Sorted(maps.Keys(said)) {
		err := c.query("EXPLAIN QUERY PLAN "+q, func(r row) error {
			line := r.text(3)
			if strings.HasPrefix(line, "SCAN") && !slices.ContainsFunc(harmless, func(p string) bool { return strings.HasPrefix(line, p) }) {
				t.Errorf("%s\n\t%s", line, q)
			}
			return nil
		}, make([]any, 20)...) // more NULLs than any has parameters
		if err != nil {
			t.Errorf("%v: %s", err, q)
		}
	}
}

// The searches that matter most use all of their index.
func TestPlans_Claim(t *testing.T) {
	c := openTest(t, filepath.Join(t.TempDir(), "durable.db")).writer
	for q, want := range map[string]string{
		nextPriority:   "SEARCH execution USING COVERING INDEX execution_due (queue=? AND priority<?)",
		dueNow:         "SEARCH execution USING COVERING INDEX execution_due (queue=? AND priority=? AND due>? AND due<?)",
		dueLater:       "SEARCH execution USING COVERING INDEX execution_due (queue=? AND priority=? AND due>?)",
		unblocked:      "SEARCH e USING INDEX execution_blocked (queue=? AND workflow=? AND version=? AND blocked=?)",
		waitByKind:     "SEARCH w USING INDEX wait_kind (kind=? AND (deadline,opened,id)>(?,?,?))",
		pageByStatus:   "SEARCH e USING INDEX execution_status (status=? AND id>? AND id<?)",
		pageOfAll:      "SEARCH e USING INDEX sqlite_autoindex_execution_1 (id>? AND id<?)",
		pageByKey:      "SEARCH e USING INDEX execution_key (workflow=? AND key=?)",
		nextEnded:      "SEARCH execution USING COVERING INDEX execution_ended ((workflow,version,status)>(?,?,?))",
		oldestEnded:    "SEARCH e USING INDEX execution_ended (workflow=? AND version=? AND status=? AND ended>? AND ended<?)",
		countEnded:     "SEARCH execution USING INDEX execution_ended (workflow=? AND version=? AND status=? AND ended>? AND ended<?)",
		familyOf:       "SEARCH c USING COVERING INDEX execution_parent (parent=?)",
		pageByParent:   "SEARCH e USING INDEX execution_parent (parent=? AND id>? AND id<?)",
		noticeMessages: "SEARCH e USING INDEX execution_parent (parent=?)",
		noticeHeads:    "SEARCH e USING INDEX execution_parent (parent=?)",
		noticeAccepted: "SEARCH e USING INDEX execution_parent (parent=?)",
		"SELECT id, input_hash FROM execution WHERE workflow = ? AND key = ?": "SEARCH execution USING INDEX execution_key (workflow=? AND key=?)",
	} {
		var plan []string
		if err := c.query("EXPLAIN QUERY PLAN "+q, func(r row) error {
			plan = append(plan, r.text(3))
			return nil
		}, make([]any, 20)...); err != nil {
			t.Fatal(err)
		}
		sorts := slices.ContainsFunc(plan, func(l string) bool { return strings.Contains(l, "USE TEMP B-TREE FOR ORDER BY") })
		if !slices.Contains(plan, want) || (sorts && q != unblocked && q != familyOf) {
			t.Errorf("%s\nhas the plan\n%s", q, strings.Join(plan, "\n"))
		}
	}
}

func openTest(t *testing.T, path string, opts ...Option) *Store {
	t.Helper()
	st, err := Open(path, opts...).OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st.(*Store)
}
