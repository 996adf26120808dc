package wire_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durable-go/durable/ai/internal/wire"
)

// Each schema of testdata/schemas comes out as its golden files say, one per dialect.
func TestSchemaDialects(t *testing.T) {
	files, err := filepath.Glob("testdata/schemas/*.in.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d schemas, %v", len(files), err)
	}
	for _, f := range files {
		in, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for name, d := range map[string]wire.Dialect{"anthropic": wire.AnthropicDialect, "openai": wire.OpenAIStrict, "gemini": wire.GeminiDialect} {
			bent, strict, err := wire.Bend(in, d)
			if err != nil {
				t.Errorf("%s for %s: %v", f, name, err)
				continue
			}
			if name == "openai" {
				bent, err = json.Marshal(map[string]any{"strict": strict, "schema": bent})
				if err != nil {
					t.Fatal(err)
				}
			}
			golden(t, strings.TrimSuffix(f, ".in.json")+"."+name+".json", bent)
		}
	}
}

func TestSchemaThatIsNone(t *testing.T) {
	for _, in := range []string{``, `[]`, `{"properties":[]}`, `{"type":"object","properties":{"a":{"anyOf":7}}}`, `{"type":"object","properties":{"a":{}},"required":7}`, strings.Repeat(`{"items":`, 200) + `{}` + strings.Repeat(`}`, 200)} {
		if _, _, err := wire.Bend(json.RawMessage(in), wire.OpenAIStrict); err == nil {
			t.Errorf("%.60s is taken for a schema", in)
		}
	}
}

func FuzzSchema(f *testing.F) {
	files, _ := filepath.Glob("testdata/schemas/*.in.json")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, d := range []wire.Dialect{wire.AnthropicDialect, wire.OpenAIStrict, wire.GeminiDialect} {
			if out, _, err := wire.Bend(in, d); err == nil && !json.Valid(out) {
				t.Fatalf("%s becomes %s", in, out)
			}
		}
	})
}
