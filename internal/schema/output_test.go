package schema_test

import (
	"encoding/json"
	"errors"
	"flag"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/internal/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

type line struct {
	Text  string  `json:"text" jsonschema:"as printed"`
	Price float64 `json:"price,omitempty"`
}

type base struct {
	ID int `json:"id"`
}

type everything struct {
	base
	Z        string            `json:"z"`
	Colour   colour            `json:"colour"`
	Colours  []colour          `json:"colours,omitempty"`
	Maybe    *colour           `json:"maybe"`
	Lines    []line            `json:"lines"`
	Line     *line             `json:"line,omitempty"`
	ByName   map[string][]line `json:"by_name"`
	ByNumber map[uint8]bool    `json:"by_number,omitzero"`
	When     time.Time         `json:"when"`
	Until    *time.Time        `json:"until,omitempty"`
	Took     time.Duration     `json:"took" jsonschema:"how long it took"`
	Data     []byte            `json:"data"`
	Raw      json.RawMessage   `json:"raw"`
	Any      any               `json:"any"`
	Address  netip.Addr        `json:"address"`
	Big      *big.Int          `json:"big"`
	Number   json.Number       `json:"number"`
	Quoted   int               `json:"quoted,string"`
	Pair     [2]int8           `json:"pair"`
	Count    uint16            `json:"count"`
	Ratio    float32           `json:"ratio"`
	Ok       bool
	Skipped  chan int `json:"-"`
	hidden   func()
}

// Enumerations, slices, pointers, maps, times and nested types.
func TestAI26_Golden(t *testing.T) {
	raw, err := schema.Output(reflect.TypeFor[everything]())
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "output.json")
	got := indent(t, raw)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the schema is\n%s", got)
	}
	_ = everything{}.hidden
}

func indent(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(json.RawMessage(raw)); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

type node struct {
	Next *node `json:"next"`
}

type (
	forest  struct{ Trees []tree }
	tree    struct{ Under map[string]forest }
	nothing string
	twice   string
	set     struct {
		A int `json:"a" jsonschema:"minimum=3"`
	}
	inner   struct{ A int }
	pointed struct{ *inner }
	list    []list
)

func (nothing) Values() []string { return nil }

func (twice) Values() []string { return []string{"a", "a"} }

func TestAI26_Refused(t *testing.T) {
	for want, of := range map[string]reflect.Type{
		"contains itself":        reflect.TypeFor[node](),
		"forest contains itself": reflect.TypeFor[forest](),
		"list contains itself":   reflect.TypeFor[list](),
		"lists no values":        reflect.TypeFor[nothing](),
		"lists a value twice":    reflect.TypeFor[twice](),
		"sets nothing":           reflect.TypeFor[set](),
		`another field is named`: reflect.StructOf([]reflect.StructField{ // vet would see the mistake in a type of its own
			{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"a"`}, {Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"a"`},
		}),
		"embedded pointer":   reflect.TypeFor[pointed](),
		"a chan has no JSON": reflect.TypeFor[struct{ C []chan int }](),
		"a func has no JSON": reflect.TypeFor[struct{ F func() }](),
		"interface":          reflect.TypeFor[struct{ E error }](),
		"keys of float64":    reflect.TypeFor[map[float64]int](),
		"a complex128":       reflect.TypeFor[complex128](),
	} {
		if raw, err := schema.Output(of); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %q", of, raw, err, want)
		}
	}
}

func TestFitOutput(t *testing.T) {
	raw, err := schema.Output(reflect.TypeFor[struct {
		N     int               `json:"n"`
		Opt   string            `json:"opt,omitempty"`
		Maybe *int              `json:"maybe"`
		Lines []line            `json:"lines"`
		M     map[string]string `json:"m,omitempty"`
		When  *time.Time        `json:"when,omitempty"`
	}]())
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{ // what it is read as, or !what is wrong
		`{"n":3.0,"maybe":null,"lines":[]}`:                                `{"n":3,"maybe":null,"lines":[]}`,
		`{"n":1,"opt":null,"maybe":1,"lines":[{"text":"a","price":null}]}`: `{"n":1,"maybe":1,"lines":[{"text":"a"}]}`,
		`{"n":1,"maybe":1,"lines":null}`:                                   `!/lines: got null, want array`,
		`{"n":null,"maybe":1,"lines":[]}`:                                  `!/n: got null, want integer`,
		`{"n":1.5,"lines":[],"x":1}`:                                       `!/maybe: it is missing; /n: got number, want integer; /x: there is no such field`,
		`{"n":1,"maybe":2,"lines":[],"when":"yesterday"}`:                  `!/when: it is no date-time`,
		`{"n":1,"maybe":2,"lines":[],"when":"2026-01-02T03:04:05Z"}`:       `{"n":1,"maybe":2,"lines":[],"when":"2026-01-02T03:04:05Z"}`,
		`{"n":1,"maybe":2,"lines":[],"m":{"a":null}}`:                      `!/m/a: got null, want string`,
		`{"n":1,`:                          `!it is not JSON`,
		`{"n":1e999,"maybe":1,"lines":[]}`: `!a number has an exponent`,
	} {
		got, err := schema.FitOutput(raw, []byte(value))
		text := string(got)
		if err != nil {
			var bad *schema.Error
			if !errors.As(err, &bad) {
				t.Errorf("%s: %v is no *Error", value, err)
			}
			text = "!" + err.Error()
		}
		if text != want && !(strings.HasPrefix(want, "!") && strings.HasPrefix(text, want)) {
			t.Errorf("%s is read as\n%s, want\n%s", value, text, want)
		}
	}
}
