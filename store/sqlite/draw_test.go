package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/durable-go/durable/store"
)

// What is settled adds up in few rows, and what is over is removed: neither drawing nor the
// file grows with what has been drawn.
func TestCR2_SettledDrawsAreFewRows(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "durable.db"), Relaxed())
	rows := func(where string) (n int64) {
		if _, err := s.writer.one("SELECT count(*) FROM draw WHERE "+where, func(r row) { n = r.int(0) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	month := store.Counter{Name: "month"}
	for i := range 500 {
		d := store.Drawing{ID: fmt.Sprint(i), Draws: []store.Draw{
			{Counter: month, Amount: 5, Limit: 1 << 40, For: 30 * 24 * time.Hour},
			{Counter: store.Counter{Name: fmt.Sprint("short", i)}, Amount: 1, Limit: 1, For: time.Microsecond},
		}}
		if res, err := s.Draw(t.Context(), d); err != nil || res.Code != store.Applied {
			t.Fatal(res, err)
		}
		if err := s.Settle(t.Context(), store.Settling{ID: d.ID, Amounts: []store.Settled{{Counter: month, Amount: 3}}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := rows("counter = 'month' AND amount > 0"); n == 0 || n > 65 {
		t.Errorf("%d rows count of what is settled", n)
	}
	if n := rows("counter <> 'month'"); n > store.SweepDraws {
		t.Errorf("%d rows are there whose time is over", n)
	}
	n, err := s.Count(t.Context(), month)
	if err != nil || n.All != 1500 || n.Open != 0 {
		t.Errorf("%+v, %v", n, err)
	}
}
