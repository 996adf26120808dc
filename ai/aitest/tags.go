package aitest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/durable-go/durable/ai/internal/wire"
)

// names are the models to be listed.
func (s *Server) names() []string {
	if len(s.opts.Models) > 0 {
		return s.opts.Models
	}
	return []string{"fake-1"}
}

// tags is Ollama's list of models.
func (s *Server) tags(w http.ResponseWriter, _ *http.Request) {
	type details struct {
		Format string `json:"format"`
		Family string `json:"family"`
	}
	type entry struct {
		Name     string    `json:"name"`
		Model    string    `json:"model"`
		Modified time.Time `json:"modified_at"`
		Size     int64     `json:"size"`
		Digest   string    `json:"digest"`
		Details  details   `json:"details"`
	}
	out := struct {
		Models []entry `json:"models"`
	}{Models: []entry{}}
	for _, n := range s.names() {
		out.Models = append(out.Models, entry{Name: n, Model: n, Modified: time.Unix(0, 0).UTC(), Details: details{"gguf", "fake"}})
	}
	send(w, out)
}

// list is the list of models at OpenAI and Anthropic: it has what either looks for.
func (s *Server) list(w http.ResponseWriter, _ *http.Request) {
	type entry struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Type    string `json:"type"`
		Created int64  `json:"created"`
		Owner   string `json:"owned_by"`
	}
	data := []entry{}
	for _, n := range s.names() {
		data = append(data, entry{ID: n, Object: "model", Type: "model", Owner: "fake"})
	}
	send(w, map[string]any{"object": "list", "data": data, "has_more": false})
}

func send(w http.ResponseWriter, v any) {
	b, err := wire.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

// hello says what this is; Ollama's programs look whether anything answers here.
func (s *Server) hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, "This is a fake: it speaks like providers of models, and is none. See /ledger.")
}
