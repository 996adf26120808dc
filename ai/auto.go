package ai

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"
)

// The models that Auto takes if nothing names one, as of 2026-09-30.
const (
	autoAnthropic = "anthropic:claude-sonnet-5"
	autoOpenAI    = "openai:gpt-6-sol"
	autoGemini    = "gemini:gemini-3.8-flash"
	autoOffline   = "offline:documents-1"
)

// Auto finds a model for a demo or an example on this machine, and says why it is that one: what AI_MODEL_SMART names; else a model
// of the first of Anthropic, OpenAI and Gemini whose key is set; else the first model of an Ollama server that answers within 300 ms, or
// AI_OLLAMA_MODEL; else the offline model, which is no language model. Nothing else in this package chooses a model by
// itself: a program that is to do work names its models.
func Auto() (model, reason string) { return auto(os.Getenv) }

func auto(getenv func(string) string) (model, reason string) {
	if m := getenv("AI_MODEL_SMART"); m != "" {
		return m, "AI_MODEL_SMART is set"
	}
	for _, k := range []struct{ key, model string }{
		{"ANTHROPIC_API_KEY", autoAnthropic}, {"OPENAI_API_KEY", autoOpenAI}, {"GOOGLE_API_KEY", autoGemini}, {"GEMINI_API_KEY", autoGemini},
	} {
		if getenv(k.key) != "" {
			return k.model, k.key + " is set"
		}
	}
	if name := ollamaModel(getenv); name != "" {
		return "ollama:" + name, "an Ollama server answers"
	}
	return autoOffline, "no key is set, and no Ollama server answers"
}

// ollamaModel asks an Ollama server for a model; "" if there is none.
func ollamaModel(getenv func(string) string) string {
	host := getenv("OLLAMA_HOST")
	if host == "" {
		host = "127.0.0.1:11434"
	}
	if !strings.Contains(host, "://") {
		host = "http://" + host
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(host, "/")+"/api/tags", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var tags struct {
		Models []struct {
			Name string `json:"name"`
		} `json:"models"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&tags) != nil {
		return ""
	}
	if name := getenv("AI_OLLAMA_MODEL"); name != "" {
		return name
	}
	if len(tags.Models) > 0 {
		return tags.Models[0].Name
	}
	return ""
}
