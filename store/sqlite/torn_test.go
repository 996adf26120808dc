package sqlite_test

import (
	"bytes"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/durable-go/durable/store"
)

// A log whose tail was lost or damaged, as after a power cut, opens as a
// shorter past: a prefix of what was acknowledged, with nothing in between.
func TestTornLog(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "a.db")
	st := open(t, path)
	a := worker(t, st, time.Hour)
	const rows = 200
	for i := range rows {
		a.Row = bytes.Repeat([]byte{byte(i)}, 1+rnd.IntN(3000))
		one(t, st, store.Write{Advance: &a}, store.Applied)
		a.Base++
	}
	// Closing these descriptors drops our locks, which nobody needs any more.
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	shorter := 0
	for range 100 {
		torn := bytes.Clone(log)
		at := rnd.IntN(len(log)-32) + 32 // the header is written once, long before
		if rnd.IntN(2) == 0 {
			torn = torn[:at]
		} else {
			torn[at] ^= 1 << rnd.IntN(8)
		}
		copied := filepath.Join(t.TempDir(), "copy.db")
		for suffix, content := range map[string][]byte{"": file, "-wal": torn} {
			if err := os.WriteFile(copied+suffix, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if length := intact(t, copied, a.ID); length < rows+1 {
			shorter++
		}
	}
	if shorter < 50 {
		t.Errorf("only %d of 100 cuts lost anything: the test cuts nothing", shorter)
	}
}

// intact checks a database and returns how many rows the execution has, each as
// TestTornLog wrote it; 0 if the execution is not there at all.
func intact(t *testing.T, path string, id store.ID) int {
	t.Helper()
	st := open(t, path)
	page, err := st.List(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	length := 0
	if len(page.Executions) > 0 {
		rec, err := st.Load(t.Context(), id, true)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rec.Rows[1:] {
			if row.Seq != i+2 || row.Body[0] != byte(i) {
				t.Fatalf("row %d is number %d and begins with %d", i+2, row.Seq, row.Body[0])
			}
		}
		length = rec.Length
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity: %s, %v", verdict, err)
	}
	return length
}
