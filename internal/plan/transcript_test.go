package plan_test

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "record the transcripts anew, and golden journals of new ones")

const golden = "../journal/testdata/golden"

func stories(t *testing.T) map[string]string {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	texts := make(map[string]string)
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(b)
	}
	return texts
}

// The stories in testdata: what the plan is after each fact. -update records
// them anew; read the difference.
func TestTranscripts(t *testing.T) {
	for name, text := range stories(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			got, err := tell(text, nil)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(text, got); diff != "" {
				t.Errorf("(-recorded +now; -update records it anew):\n%s", diff)
			}
		})
	}
}

// record is the golden journal of a story: the code, the rows as stored, the
// plan after each, and the snapshot at the end.
func record(text string) (string, error) {
	var b strings.Builder
	source := ""
	h := journal.NewHistory()
	_, err := tell(text, func(tree, row string, body []byte, plan string) {
		if tree != source {
			fmt.Fprintf(&b, "tree\n%s\n", tree)
			source = tree
		}
		if body != nil {
			fmt.Fprintf(&b, "# %s\nrow %s\n", row, base64.StdEncoding.EncodeToString(body))
			facts, err := journal.Decode(body)
			if err == nil {
				err = h.Apply(journal.Row{Seq: h.Length + 1, Facts: facts})
			}
			if err != nil {
				panic(err)
			}
		}
		fmt.Fprintf(&b, "= %s\n", strings.ReplaceAll(plan, "\n", "\n= "))
	})
	fmt.Fprintf(&b, "snapshot %s\n", base64.StdEncoding.EncodeToString(h.Snapshot()))
	return b.String(), err
}

// Journals as earlier releases wrote them must load and give the plan that
// they gave. A file here never changes: -update only writes files that are
// missing, for new stories. Sentences for people may be reworded.
func TestVR7_GoldenJournals(t *testing.T) {
	if *update {
		for name, text := range stories(t) {
			file := filepath.Join(golden, filepath.Base(name))
			if _, err := os.Stat(file); err == nil {
				continue
			}
			text, err := record(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(golden, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(golden + "/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d golden journals: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(string(b)); err != nil {
				t.Error(err)
			}
		})
	}
}

// verify reads a golden journal with the code of today.
func verify(text string) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	s := story{h: journal.NewHistory()}
	var have []string // the plan, by lines
	for i := 0; i < len(lines); i++ {
		word, rest, _ := strings.Cut(lines[i], " ")
		switch word {
		case "tree":
			var block []string
			for ; strings.HasPrefix(lines[i+1], "\t"); i++ {
				block = append(block, lines[i+1])
			}
			if _, err := s.deploy(block); err != nil {
				return fmt.Errorf("line %d: %w", i+1, err)
			}
		case "row":
			if err := s.load(rest); err != nil {
				return fmt.Errorf("line %d: %w", i+1, err)
			}
		case "snapshot":
			if err := s.restore(rest); err != nil {
				return fmt.Errorf("line %d: %w", i+1, err)
			}
		case "=":
			if lines[i-1][0] != '=' {
				have = strings.Split(written(plan.Eval(s.w, s.h)), "\n")
			}
			if len(have) == 0 || reworded(have[0]) != reworded(rest) {
				return fmt.Errorf("line %d: the plan was %q, now it is %q", i+1, rest, have)
			}
			if have = have[1:]; len(have) > 0 && (i+1 == len(lines) || lines[i+1][0] != '=') {
				return fmt.Errorf("line %d: the plan has more now: %q", i+1, have)
			}
		}
	}
	return nil
}

// reworded is a line of a plan without the sentence for people.
func reworded(line string) string {
	if head, _, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "blocked ") {
		return head
	}
	return line
}

// load applies a stored row, and checks that it would be stored the same now.
func (s *story) load(text string) error {
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	facts, err := journal.Decode(body)
	if err != nil {
		return err
	}
	if again := journal.Encode(facts); string(again) != string(body) {
		return fmt.Errorf("the same facts are stored in another way now: raise the version, and keep reading this one")
	}
	return s.h.Apply(journal.Row{Seq: s.h.Length + 1, Facts: facts})
}

// restore reads the stored snapshot: the plan must be what the rows give.
func (s *story) restore(text string) error {
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	h, err := journal.Restore(body)
	if err != nil {
		return err
	}
	if a, b := written(plan.Eval(s.w, s.h)), written(plan.Eval(s.w, h)); a != b {
		return fmt.Errorf("the rows give %q, the snapshot %q", a, b)
	}
	if string(h.State) != string(s.h.State) || h.Length != s.h.Length {
		return fmt.Errorf("the rows give state %s after %d rows, the snapshot %s after %d", s.h.State, s.h.Length, h.State, h.Length)
	}
	return nil
}

// A golden journal that does not fit is noticed.
func TestVR7_GoldenOracleCatchesChanges(t *testing.T) {
	text := stories(t)["testdata/retry.txt"]
	text, err := record(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(text); err != nil {
		t.Fatal(err)
	}
	for name, changed := range map[string]string{
		"another plan": strings.Replace(text, "= run ", "= ask ", 1),
		"more planned": strings.Replace(text, "= completed", "= completed\n= completed", 1),
		"another tree": strings.Replace(text, "step", "loop", 1),
		"another row":  strings.Replace(text, "row AQ", "row AA", 1),
		"a row less":   strings.Replace(text, "\nrow ", "\n# ", 1),
	} {
		if changed == text || verify(changed) == nil {
			t.Errorf("%s: not noticed", name)
		}
	}
}
