// Package demo runs the document pipeline of examples/documents where people can watch it.
// It uses the public API only, and is what the command's demo verb does.
package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/durable-go/durable/cmd/durable/internal/term"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
)

// MaxFile is how large a document may be, in bytes.
const MaxFile = 1 << 20

// Document is a document to read. ID is the name of a sample, or the path of a file.
type Document struct {
	ID   string
	Name string // for people
	Text string
}

// Key makes a run for this text of this document happen once in a database. Its hash tells
// apart what looks the same.
func (d Document) Key() string {
	sum := sha256.Sum256([]byte(d.Name + "\x00" + d.Text))
	return term.Cut(term.Line(d.Name), 100) + "#" + hex.EncodeToString(sum[:6])
}

// Documents returns the samples, or the text files of a folder, sorted by name.
func Documents(dir string) ([]Document, error) {
	var list []Document
	if dir == "" {
		for _, s := range samples.All() {
			list = append(list, Document{ID: s.Name, Name: strings.TrimSuffix(s.Name, ".txt"), Text: s.Text})
		}
		return list, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the documents: %w", err)
	}
	for _, e := range entries {
		if ext := strings.ToLower(filepath.Ext(e.Name())); e.IsDir() || ext != ".txt" && ext != ".md" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		text, err := readText(path)
		if err != nil {
			return nil, fmt.Errorf("the documents: %w", err)
		}
		list = append(list, Document{ID: path, Name: e.Name(), Text: text})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the documents: there is no .txt or .md file in %s: %w", dir, fs.ErrNotExist)
	}
	slices.SortFunc(list, func(a, b Document) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Source fetches what Documents lists.
type Source struct{}

// Fetch implements pipeline.Source.
func (Source) Fetch(ctx context.Context, id string) (string, error) {
	if filepath.IsAbs(id) {
		return readText(id)
	}
	return pipeline.Samples{}.Fetch(ctx, id)
}

// readText reads a file as text. One that is not UTF-8 is taken for Latin-1, since the
// state of a run travels as JSON, which is UTF-8.
func readText(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > MaxFile:
		return "", fmt.Errorf("%s is larger than %d KiB; take it out or split it", path, MaxFile>>10)
	case utf8.Valid(b):
		return string(b), nil
	}
	text := make([]rune, len(b))
	for i, c := range b {
		text[i] = rune(c)
	}
	return string(text), nil
}
