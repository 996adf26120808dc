package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/cmd/durable/internal/demo"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// Verdict is what came of it all.
type Verdict struct {
	Runs     int `json:"runs"`
	Kills    int `json:"kills"`
	Workers  int `json:"workers"` // processes, one after another
	Bodies   int `json:"bodies"`  // how often a body began
	Steps    int `json:"steps"`   // places that were run at least once
	Compared int `json:"results_compared"`

	// Why bodies began again.
	Retried int `json:"again_after_error"` // their attempt failed, and the policy allows another
	Resumed int `json:"again_after_wait"`  // their wait is over
	CutOff  int `json:"again_cut_off"`     // their worker was killed while they ran
	Forgot  int `json:"again_unrecorded"`  // their worker was killed after them, before the result was stored
	Ousted  int `json:"again_ousted"`      // their worker lost its lease or stopped

	Bill Bill `json:"model"` // what the calls of the model came to

	Lost        []string `json:"lost"`        // results that are not there, or are not what they must be
	Unexplained []string `json:"unexplained"` // bodies that began again for no reason that was found
}

// task is a run and what must come of it.
type task struct {
	doc demo.Document
	run durable.ID
}

// judge holds the runs against the straight evaluation, every body that began again
// against kills and journals, and what the model was paid for against the journals.
func judge(ctx context.Context, e *durable.Engine, tasks []task, ledger []entry, paid []aitest.Call, killed map[int]bool, results pipeline.Folder) (*Verdict, error) {
	v := &Verdict{Runs: len(tasks), Kills: len(killed), Lost: []string{}, Unexplained: []string{}}
	kept, err := results.Documents()
	if err != nil {
		return nil, err
	}
	v.archive(tasks, kept)
	lives := make(map[durable.ID]map[string][]entry) // run, path
	for _, l := range ledger {
		if lives[l.Run] == nil {
			lives[l.Run] = make(map[string][]entry)
		}
		lives[l.Run][l.Path] = append(lives[l.Run][l.Path], l)
	}
	client, err := pipeline.Offline()
	if err != nil {
		return nil, err
	}
	ctx = ai.WithClient(ctx, client)
	want := make(map[string][]byte) // by document: it is the same in every round
	for _, t := range tasks {
		if want[t.doc.ID] == nil {
			if want[t.doc.ID], err = straight(ctx, t.doc); err != nil {
				return nil, err
			}
		}
		x, err := e.Execution(ctx, t.run, durable.WithSteps)
		if err != nil {
			v.lose("%s: run %s: %v", t.doc.Name, t.run, err)
			continue
		}
		v.result(t, x, want[t.doc.ID])
		for path, list := range lives[t.run] {
			v.explain(t, path, list, x, killed)
		}
		v.unheard(t, x, lives[t.run])
		delete(lives, t.run)
	}
	for run := range lives {
		v.Unexplained = append(v.Unexplained, fmt.Sprintf("run %s: bodies ran, but nobody started it", run))
	}
	return v, v.bill(ctx, e, tasks, paid)
}

func (v *Verdict) lose(format string, a ...any) { v.Lost = append(v.Lost, fmt.Sprintf(format, a...)) }

// straight is the result that a document must have.
func straight(ctx context.Context, d demo.Document) ([]byte, error) {
	w, err := pipeline.Straight(ctx, d.ID, d.Text)
	if err != nil {
		return nil, fmt.Errorf("%s: the straight evaluation: %w", d.Name, err)
	}
	return json.Marshal(w)
}

// result compares what a run came to.
func (v *Verdict) result(t task, x *durable.Execution, want []byte) {
	if x.Status != durable.Completed {
		why := ""
		if x.Error != nil {
			why = ": " + x.Error.Error()
		}
		v.lose("%s: run %s is %s%s", t.doc.Name, t.run, x.Status, why)
		return
	}
	var d pipeline.Document
	if err := json.Unmarshal(x.State, &d); err != nil {
		v.lose("%s: run %s: its result: %v", t.doc.Name, t.run, err)
		return
	}
	got, err := json.Marshal(d)
	if err != nil || !bytes.Equal(got, want) {
		v.lose("%s: run %s has another result than the same work in one go\n   got  %s\n   want %s", t.doc.Name, t.run, head(got), head(want))
		return
	}
	v.Compared++
}

func head(b []byte) []byte { return b[:min(len(b), 300)] }

// archive compares what the runs put away: each document once for each of its runs.
func (v *Verdict) archive(tasks []task, kept []pipeline.Document) {
	balance := make(map[string]int)
	for _, t := range tasks {
		balance[t.doc.ID]++
	}
	for _, d := range kept {
		balance[d.ID]--
	}
	for id, n := range balance {
		switch {
		case n > 0:
			v.lose("%s: %d results are not in the archive", id, n)
		case n < 0:
			v.Unexplained = append(v.Unexplained, fmt.Sprintf("%s: %d results too many are in the archive", id, -n))
		}
	}
}

// explain finds for each body that began, but for the last one of its place, why another
// one had to begin.
func (v *Verdict) explain(t task, path string, list []entry, x *durable.Execution, killed map[int]bool) {
	v.Steps++
	type life struct {
		begin entry
		end   *entry
	}
	var lives []*life
	for _, e := range list {
		if e.What == began {
			lives = append(lives, &life{begin: e})
			continue
		}
		for i := len(lives) - 1; i >= 0; i-- {
			if l := lives[i]; l.begin.Worker == e.Worker && l.begin.Attempt == e.Attempt && l.end == nil {
				l.end = &e
				break
			}
		}
	}
	v.Bodies += len(lives)
	for i, l := range lives[:max(len(lives)-1, 0)] {
		next := lives[i+1].begin
		record := attempt(x, path, l.begin.Attempt)
		dead := killed[l.begin.Worker]
		// A worker that died may have died before the end of the attempt was recorded, even
		// before its beginning was: then the next body has the same number.
		gone := dead && (record == nil || next.Attempt == l.begin.Attempt || cutOff(record.Status))
		switch {
		case l.end == nil && gone:
			v.CutOff++
		case l.end != nil && l.end.What == suspended && record != nil && record.Waited > 0:
			v.Resumed++
		case l.end != nil && l.end.What == failed && record != nil && record.Status == "retrying":
			v.Retried++
		case l.end != nil && l.end.What == ousted:
			v.Ousted++
		case l.end != nil && record != nil && !dead && cutOff(record.Status): // its lease was lost before the end was stored
			v.Ousted++
		case l.end != nil && gone:
			v.Forgot++
		default:
			status, end := "not in the journal", "did not end"
			if record != nil {
				status = record.Status
			}
			if l.end != nil {
				end = string(l.end.What)
			}
			v.Unexplained = append(v.Unexplained, fmt.Sprintf("%s: run %s: %s, attempt %d of worker %d (killed: %t) %s, the journal says %s; then attempt %d began at worker %d",
				t.doc.Name, t.run, path, l.begin.Attempt, l.begin.Worker, dead, end, status, next.Attempt, next.Worker))
		}
	}
}

// unheard finds steps that the journal calls done and whose body never returned.
func (v *Verdict) unheard(t task, x *durable.Execution, lives map[string][]entry) {
	for _, s := range x.Steps {
		if s.Kind != "step" || s.Status != "done" {
			continue
		}
		heard := false
		for _, e := range lives[s.Path] {
			heard = heard || e.What == returned && e.Attempt == s.Attempt
		}
		if !heard {
			v.Unexplained = append(v.Unexplained, fmt.Sprintf("%s: run %s: %s is done, and its body never returned", t.doc.Name, t.run, s.Path))
		}
	}
}

func attempt(x *durable.Execution, path string, number int) *durable.StepRecord {
	for i := range x.Steps {
		if s := &x.Steps[i]; s.Path == path && s.Attempt == number && s.Kind == "step" {
			return s
		}
	}
	return nil
}

// cutOff: the journal knows that the attempt did not end by itself.
func cutOff(status string) bool {
	return status == "crashed" || status == "lost" || status == "stopped"
}
