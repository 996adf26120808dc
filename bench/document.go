package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The generated part of benchmarks.md stands between these lines.
const (
	beginMark = "<!-- measured: written by bench -write, do not edit -->"
	endMark   = "<!-- /measured -->"
)

// write puts the report into a folder of docs: benchmarks.json keeps the newest
// result of each workload, and from all of them benchmarks.md gets its tables
// and the plots are drawn.
func (r *report) write(folder string) error {
	data := filepath.Join(folder, "benchmarks.json")
	all, err := readReport(data)
	if err != nil {
		return err
	}
	all.merge(r)
	page := filepath.Join(folder, "benchmarks.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	plots := all.plots()
	out, err := between(string(text), all.markdown(plots))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	raw, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	files := map[string][]byte{page: []byte(out), data: append(raw, '\n')}
	for _, p := range plots {
		files[filepath.Join(folder, p.file)] = []byte(p.chart.svg())
	}
	for name, body := range files {
		if err := os.WriteFile(name, body, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func readReport(path string) (*report, error) {
	var r report
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &r, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &r, nil
}

// merge takes the sections of a newer report, in the order of the workloads.
func (r *report) merge(newer *report) {
	by := make(map[string]*section)
	for _, s := range append(r.Sections, newer.Sections...) {
		by[s.Name] = s
	}
	r.Sections = nil
	for _, w := range workloads() {
		if s := by[w.name]; s != nil {
			s.Title = w.title
			r.Sections = append(r.Sections, s)
		}
	}
}

// between replaces what stands between the marks.
func between(text, middle string) (string, error) {
	head, rest, ok := strings.Cut(text, beginMark)
	if !ok {
		return "", errors.New("it has no line " + beginMark)
	}
	_, tail, ok := strings.Cut(rest, endMark)
	if !ok {
		return "", errors.New("it has no line " + endMark)
	}
	return head + beginMark + "\n\n" + middle + endMark + tail, nil
}
