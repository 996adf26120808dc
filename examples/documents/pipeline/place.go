package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/examples/documents/samples"
)

// Samples is the Source of the documents in package samples.
type Samples struct{}

// Fetch implements Source.
func (Samples) Fetch(_ context.Context, id string) (string, error) {
	s, ok := samples.Get(id)
	if !ok {
		return "", fmt.Errorf("sample %q: %w", id, fs.ErrNotExist)
	}
	return s.Text, nil
}

// missing says that trying again will not make a document appear.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return durable.Permanent(err)
	}
	return err
}

// Memory is an Archive in the process. The zero value is empty and ready.
type Memory struct {
	mu   sync.Mutex
	kept map[string]Document
}

// Put implements Archive.
func (m *Memory) Put(_ context.Context, key string, d Document) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = make(map[string]Document)
	}
	m.kept[key] = d
	return nil
}

// Documents returns what was kept, in no order.
func (m *Memory) Documents() []Document {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Document
	for _, d := range m.kept {
		list = append(list, d)
	}
	return list
}

// Folder is an Archive of one JSON file for each result, named by its key. A file is
// there whole or not at all, also when the process dies.
type Folder string

// Put implements Archive.
func (f Folder) Put(_ context.Context, key string, d Document) (err error) {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(string(f), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if _, err := tmp.Write(b); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(string(f), key+".json"))
}

// Documents returns what was kept, sorted by key.
func (f Folder) Documents() ([]Document, error) {
	names, err := filepath.Glob(filepath.Join(string(f), "*.json"))
	if err != nil {
		return nil, err
	}
	list := make([]Document, len(names))
	for i, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &list[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return list, nil
}
