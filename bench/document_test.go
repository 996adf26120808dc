package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Workloads that did not run keep what is on the page; what is outside the
// marks stays.
func TestWriteMergesSections(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "benchmarks.md")
	if err := os.WriteFile(page, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := func(name, id string, v float64) *section {
		s := &section{Name: name, Title: "t", At: time.Unix(0, 0).UTC(), Rounds: 1}
		s.metric(id, "what <"+id+"> is", "u").must(atLeast(1)).add(v)
		return s
	}
	for _, r := range []*report{
		{Sections: []*section{one("throughput", "postgres", 111), one("latency", "each", 222)}},
		{Sections: []*section{one("throughput", "postgres", 333)}},
	} {
		if err := r.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for want, there := range map[string]bool{"before\n": true, "\nafter\n": true, "old": false, "111": false, "222 u": true, "333 u": true} {
		if strings.Contains(text, want) != there {
			t.Errorf("%q there: %t\n%s", want, !there, text)
		}
	}
	if strings.Index(text, "Throughput") > strings.Index(text, "Latency") {
		t.Error("the sections are not in the order of the workloads")
	}
	plots, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil || len(plots) != 2 {
		t.Fatalf("plots %v, %v", plots, err)
	}
}

func TestWriteRefusesPageWithoutMarks(t *testing.T) {
	if _, err := between("no marks\n"+endMark, "x"); err == nil {
		t.Error("a page without a begin was accepted")
	}
	if _, err := between(beginMark+" but no end", "x"); err == nil {
		t.Error("a page without an end was accepted")
	}
}

// A plot is well-formed XML whatever its labels are, and nothing stands outside
// of it.
func TestChartIsWellFormed(t *testing.T) {
	for _, c := range []chart{
		{title: "a <b> & \"c\"", unit: "1/s", caption: "x & y", bars: []bar{
			{label: "<one>", kind: ours, value: 3, low: 1, high: 40_000, must: &bound{Value: 60_000}}, {label: "two", kind: raw, value: 0},
		}},
		{title: "log", log: true, unit: "ms", bars: []bar{{label: "p", kind: peer, value: 0.3, tail: 700}, {label: "q", kind: ours, value: 1}}},
	} {
		d := xml.NewDecoder(strings.NewReader(c.svg()))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", c.title, err)
			}
		}
		a := c.axis()
		for _, b := range c.bars {
			for _, v := range []float64{b.value, b.high, b.tail} {
				if x := a.x(v); x < labelWidth || x > labelWidth+plotWidth {
					t.Errorf("%s: %v is drawn at %v, outside of %d to %d", c.title, v, x, labelWidth, labelWidth+plotWidth)
				}
			}
		}
	}
}
