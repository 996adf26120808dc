//go:build fail

package crash

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/journal"
)

// booked writes a row in the transaction of each of its steps.
func booked(l *ledger) workload {
	book := func(name string) *durable.StepNode[sum] {
		return durable.Step(name, watched(l, func(ctx context.Context, s *sum) error {
			s.Sum += s.N
			info, _ := durable.Info(ctx)
			if l.users != "" {
				return durable.Tx(ctx, func(tx pgx.Tx) error {
					_, err := tx.Exec(ctx, "INSERT INTO "+l.users+".booked (run, path) VALUES ($1, $2)", info.Execution.String(), info.Path)
					return err
				})
			}
			return durable.Tx(ctx, func(tx *sql.Tx) error {
				times := 1
				if l.mutant == "double-row" {
					times = 2
				}
				_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS booked (run TEXT NOT NULL, path TEXT NOT NULL)")
				for range times {
					_, insert := tx.ExecContext(ctx, "INSERT INTO booked (run, path) VALUES (?, ?)", info.Execution.String(), info.Path)
					err = errors.Join(err, insert)
				}
				return err
			})
		}))
	}
	w := durable.Define("booked", book("first"), book("second"), book("third"))
	return load(w, step("first"), step("second"), step("third"))
}

func (w *world) addBooked(n int) {
	w.add(&task{workflow: "booked", input: sum{N: n}, want: into(func(s sum) string {
		if s.Sum != 3*n {
			return fmt.Sprintf("three times %d must be booked", n)
		}
		return ""
	})})
}

// booked holds the rows that steps have written against what their journals say:
// a row is there exactly if its step is done.
func (j *judge) booked() error {
	rows, err := j.rows()
	if err != nil {
		return err
	}
	for id, r := range j.records {
		if r.Workflow != "booked" {
			continue
		}
		for _, row := range r.rows {
			for _, f := range row.Facts {
				if f.Kind == journal.Done {
					rows[id.String()+" "+f.Path]--
				}
			}
		}
	}
	for what, n := range rows {
		if n != 0 {
			j.fault("%s: rows less done facts are %d", what, n)
		}
	}
	return nil
}

// rows counts the rows of each step.
func (j *judge) rows() (rows map[string]int, err error) {
	if j.w.schema != "" {
		return j.userRows()
	}
	db, err := sql.Open("sqlite", "file:"+j.w.db()+"?_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var there int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_master WHERE name = 'booked'").Scan(&there); err != nil || there == 0 {
		return map[string]int{}, err
	}
	return countRows(db)
}

func countRows(db *sql.DB) (map[string]int, error) {
	q, err := db.Query("SELECT run || ' ' || path, count(*) FROM booked GROUP BY 1")
	if err != nil {
		return nil, err
	}
	rows := map[string]int{}
	for q.Next() {
		var what string
		var n int
		if err := q.Scan(&what, &n); err != nil {
			return nil, errors.Join(err, q.Close())
		}
		rows[what] = n
	}
	return rows, errors.Join(q.Err(), q.Close())
}
