package plan_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// A story is a text. Blocks that begin with the word tree give the code that
// runs from then on, indented by tabs; a second one is a deploy. Lines that
// begin with "-" are writes to the journal; "&" is one more fact of the same
// write. After each write, and each deploy, the lines that begin with "="
// say what the plan is, and those with "+" which fact was judged. Every write
// happens a second after the one before.
//
//   - began JSON                  - answered PATH case KEY | default | none | again N | leave N
//   - tried PATH EPOCH            - called PATH CALL JSON | error
//   - done PATH [PATCH]           - waited PATH CALL
//   - error PATH                  - received PATH CALL JSON
//   - final PATH                  - fired PATH CALL
//   - after PATH DURATION         - happened PATH | didnot PATH | away PATH
//   - snooze PATH DURATION        - handed PATH EPOCH
//   - timeout PATH                - cancelled REASON
//   - died PATH                   - reload
//   - failed PATH CODE
//
// reload derives the history anew from bytes, with a snapshot in the middle.
type story struct {
	w    *tree.Workflow
	h    *journal.History
	rows []journal.Row
	now  int64
	// golden, if not nil, is told the code, and each write with its plan.
	golden func(tree, row string, body []byte, plan string)
	source string
}

// tell returns the story with its answers as they are now.
func tell(text string, golden func(tree, row string, body []byte, plan string)) (string, error) {
	s := &story{h: journal.NewHistory(), golden: golden}
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "= ") || strings.HasPrefix(line, "+ ") {
			continue
		}
		out.WriteString(line + "\n")
		var answer string
		var err error
		switch {
		case line == "tree":
			var block []string
			for ; i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t"); i++ {
				block = append(block, lines[i+1])
				out.WriteString(lines[i+1] + "\n")
			}
			answer, err = s.deploy(block)
		case strings.HasPrefix(line, "- "):
			block := []string{line[2:]}
			for ; i+1 < len(lines) && strings.HasPrefix(lines[i+1], "& "); i++ {
				block = append(block, lines[i+1][2:])
				out.WriteString(lines[i+1] + "\n")
			}
			answer, err = s.write(block)
		}
		if err != nil {
			return "", fmt.Errorf("line %d: %w", i+1, err)
		}
		out.WriteString(answer)
	}
	return out.String(), nil
}

func (s *story) deploy(block []string) (string, error) {
	w, err := parseTree(block)
	if err != nil {
		return "", err
	}
	s.w, s.source = w, strings.Join(block, "\n")
	if len(s.rows) == 0 {
		return "", nil
	}
	if s.golden != nil {
		s.golden(s.source, "", nil, written(plan.Eval(s.w, s.h)))
	}
	return s.plan(), nil
}

func (s *story) plan() string {
	return "= " + strings.ReplaceAll(written(plan.Eval(s.w, s.h)), "\n", "\n= ") + "\n"
}

// write makes one row of the block.
func (s *story) write(block []string) (string, error) {
	if block[0] == "reload" {
		if err := s.reload(); err != nil {
			return "", err
		}
		return s.plan(), nil
	}
	s.now += 1_000_000
	row := journal.Row{Seq: len(s.rows) + 1}
	var judged, said strings.Builder
	for _, line := range block {
		f, byJudge, err := s.fact(strings.Fields(line))
		if err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
		f.At = s.now
		if err := s.h.Fold(&f, row.Seq); err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
		if byJudge {
			fmt.Fprintf(&judged, "+ %s attempt %d until %d\n", spelled(f), f.Attempt, f.Until)
		}
		fmt.Fprintf(&said, "; %s", spelled(f))
		row.Facts = append(row.Facts, f)
	}
	s.h.Length = row.Seq
	s.rows = append(s.rows, row)
	if s.golden != nil {
		s.golden(s.source, said.String()[2:], journal.Encode(row.Facts), written(plan.Eval(s.w, s.h)))
	}
	return judged.String() + s.plan(), nil
}

func (s *story) reload() error {
	h := journal.NewHistory()
	for i, r := range s.rows {
		facts, err := journal.Decode(journal.Encode(r.Facts))
		if err != nil {
			return err
		}
		if err := h.Apply(journal.Row{Seq: r.Seq, Facts: facts}); err != nil {
			return err
		}
		if i == len(s.rows)/2 {
			if h, err = journal.Restore(h.Snapshot()); err != nil {
				return err
			}
		}
	}
	s.h = h
	return nil
}

// fact makes the fact that a line tells of.
func (s *story) fact(words []string) (f journal.Fact, judged bool, err error) {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	f.Path = arg(1)
	switch words[0] {
	case "began":
		return journal.Fact{Kind: journal.Began, Data: []byte(arg(1))}, false, nil
	case "cancelled":
		return journal.Fact{Kind: journal.Cancelled, Err: &journal.Error{Code: arg(1)}}, false, nil
	case "answered":
		f.Kind = journal.Answered
		f.Answer, err = parseAnswer(words[2:])
		return f, false, err
	case "tried", "handed":
		f.Kind = journal.Handed
		if words[0] == "tried" {
			f.Kind, f.Attempt = journal.Tried, plan.Attempt(s.h.At(f.Path))
		}
		f.Epoch, err = strconv.ParseInt(arg(2), 10, 64)
		return f, false, err
	case "failed":
		f.Kind, f.Err = journal.Failed, &journal.Error{Code: arg(2)}
		return f, false, nil
	case "called", "waited", "received", "fired":
		f.Call = arg(2)
		return s.call(words[0], arg(3), f), false, nil
	}
	f, err = s.judge(words[0], arg(1), arg(2))
	return f, true, err
}

func (s *story) call(kind, data string, f journal.Fact) journal.Fact {
	switch kind {
	case "called":
		f.Kind = journal.Called
		if data == "error" {
			f.Err, data = &journal.Error{Code: "error", Message: "no"}, ""
		}
	case "waited":
		name := strings.Split(f.Call, "#")[0]
		f.Kind = journal.Waited
		f.Wait = &journal.Wait{ID: "w_" + name, Kind: strings.Split(name, ":")[0], Name: name, Topic: name, Deadline: 99, Default: []byte(`"late"`), HasValue: true}
	case "received":
		f.Kind, f.Message = journal.Received, 1
	case "fired":
		f.Kind = journal.Fired
	}
	if data != "" {
		f.Data = []byte(data)
	}
	return f
}

// judge makes the fact that records how a body ended.
func (s *story) judge(how, path, arg string) (journal.Fact, error) {
	p := plan.Eval(s.w, s.h)
	b := plan.Body{Path: path, Node: tree.Find(s.w, path), Place: s.h.At(path)}
	for _, x := range p.Bodies {
		if x.Path == path {
			b = x
		}
	}
	if b.Node == nil || b.Place == nil {
		return journal.Fact{}, fmt.Errorf("nothing runs there")
	}
	end := plan.Ending{Err: &journal.Error{Code: how, Message: "no"}}
	var err error
	switch how {
	case "done":
		end = plan.Ending{Patch: []byte(arg)}
	case "error":
	case "final":
		end.Final = true
	case "timeout":
		end.Timeout = true
	case "after":
		end.HasWait = true
		end.After, err = time.ParseDuration(arg)
	case "snooze":
		end = plan.Ending{Snooze: true}
		end.After, err = time.ParseDuration(arg)
	case "died":
		return plan.JudgeCrash(b, s.now, 0.5), nil
	case "happened", "didnot", "away":
		b.Mode = plan.Reconcile
		if how == "happened" {
			end = plan.Ending{Happened: plan.Yes, Patch: []byte(arg)}
		} else if how == "didnot" {
			end = plan.Ending{Happened: plan.No}
		}
	default:
		return journal.Fact{}, fmt.Errorf("unknown word %s", how)
	}
	return plan.Judge(b, end, s.now, 0.5), err
}

func parseAnswer(words []string) (*journal.Answer, error) {
	switch words[0] {
	case "default":
		return &journal.Answer{Way: journal.WayDefault}, nil
	case "none":
		return &journal.Answer{Way: journal.WayNone}, nil
	case "case":
		var key string
		err := json.Unmarshal([]byte(words[1]), &key)
		return &journal.Answer{Way: journal.WayCase, Case: key, Value: key}, err
	case "again", "leave":
		pass, err := strconv.Atoi(words[1])
		a := &journal.Answer{Way: journal.WayAgain, Pass: pass}
		if words[0] == "leave" {
			a.Way = journal.WayLeave
		}
		return a, err
	}
	return nil, fmt.Errorf("unknown answer %s", words[0])
}
