// Package samples holds the documents that the demo reads: invoices, contracts and
// letters as they arrive in an office, with all companies and people made up. It knows
// nothing of what the documents mean; the expectations are in the tests of the package
// that reads them.
package samples

import (
	"embed"
	"strings"
)

//go:embed *.txt
var files embed.FS

// Sample is one document. Name is its file name, for people to read; a model is shown
// the Text only.
type Sample struct {
	Name string
	Text string
}

// All returns every sample, sorted by name. The slice is the caller's own.
func All() []Sample {
	entries, err := files.ReadDir(".") // sorted by name, as fs.ReadDirFS promises
	if err != nil {
		panic("samples: the embedded folder cannot be read: " + err.Error())
	}
	all := make([]Sample, 0, len(entries))
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			panic("samples: an embedded file cannot be read: " + err.Error())
		}
		all = append(all, Sample{Name: e.Name(), Text: string(text)})
	}
	return all
}

// Get returns the sample of that name, with or without ".txt".
func Get(name string) (Sample, bool) {
	text, err := files.ReadFile(strings.TrimSuffix(name, ".txt") + ".txt")
	if err != nil {
		return Sample{}, false
	}
	return Sample{Name: strings.TrimSuffix(name, ".txt") + ".txt", Text: string(text)}, true
}
