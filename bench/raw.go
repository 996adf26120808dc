package main

import (
	"database/sql"
	"path/filepath"
	"slices"
	"time"

	_ "modernc.org/sqlite" // the raw store that ratios are taken against
)

// raw is the database without an engine: the same rows through the same
// driver with the same settings.
type raw struct{ db *sql.DB }

func openRaw(dir string) (*raw, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "raw.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE row (id BLOB, seq INTEGER, epoch INTEGER, at INTEGER, body BLOB, PRIMARY KEY (id, seq)) WITHOUT ROWID")
	return &raw{db}, err
}

// batched writes rows of a step's size, so many to a flush, and returns rows a
// second.
func (r *raw) batched(rows, batch int) (float64, error) {
	body := make([]byte, 190) // done of one step and tried of the next, with 100 bytes of result
	id := make([]byte, 16)
	start := time.Now()
	for done := 0; done < rows; {
		tx, err := r.db.Begin()
		if err != nil {
			return 0, err
		}
		insert, err := tx.Prepare("INSERT OR REPLACE INTO row (id, seq, epoch, at, body) VALUES (?, ?, 1, ?, ?)")
		if err != nil {
			return 0, err
		}
		for range batch {
			id[0], id[1], id[2] = byte(done), byte(done>>8), byte(done>>16)
			if _, err := insert.Exec(id, done%6, start.UnixMicro(), body); err != nil {
				return 0, err
			}
			done++
		}
		if err := insert.Close(); err != nil {
			return 0, err
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(rows) / time.Since(start).Seconds(), nil
}

// single is the median time of one synced commit of one row.
func (r *raw) single(n int) (time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		if _, err := r.db.Exec("INSERT OR REPLACE INTO row (id, seq, epoch, at, body) VALUES (?, 0, 1, 0, ?)", []byte{byte(i), byte(i >> 8), 1}, make([]byte, 190)); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[n/2], nil
}

func (r *raw) close() error { return r.db.Close() }
