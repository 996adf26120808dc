package schema_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/internal/schema"
)

type colour string

func (colour) Values() []string { return []string{"red", "green"} }

type cents int64

func (c cents) MarshalJSON() ([]byte, error) { return []byte(`"1.00"`), nil }

type form struct {
	Colour colour       `json:"colour"`
	Other  *colour      `json:"other,omitempty"`
	Price  cents        `json:"price"`
	Old    *cents       `json:"old,omitempty"`
	Prices []cents      `json:"prices,omitempty"`
	From   netip.Addr   `json:"from,omitzero"`
	When   time.Time    `json:"when,omitzero"`
	Ways   map[int8]int `json:"-"`
}

func TestOwnTypes(t *testing.T) {
	s, err := schema.For(reflect.TypeFor[form]())
	if err != nil {
		t.Fatal(err)
	}
	for value, wrong := range map[string]string{ // wrong: the field at fault, "" for none
		`{"colour":"red","price":"1.00"}`:                                         "",
		`{"colour":"red","price":1.5,"old":"1.00","prices":["1.00",2]}`:           "",
		`{"colour":"red","price":"1","from":"::1","when":"2026-01-02T03:04:05Z"}`: "",
		`{"colour":"blue","price":"1.00"}`:                                        "/colour",
		`{"colour":"red","other":"blue","price":"1.00"}`:                          "/other",
		`{"colour":"red","price":"1.00","from":7}`:                                "/from",
		`{"colour":7,"price":"1.00"}`:                                             "/colour",
	} {
		err := schema.Check(s, []byte(value))
		var bad *schema.Error
		switch {
		case wrong == "" && err != nil:
			t.Errorf("%s is refused: %v", value, err)
		case wrong != "" && !errors.As(err, &bad):
			t.Errorf("%s is not refused: %v", value, err)
		case wrong != "" && !strings.HasPrefix(bad.Mistakes[0].Field, wrong):
			t.Errorf("%s: %v, want a mistake in %s", value, err, wrong)
		}
	}
}

// Mistakes come in the order of their fields, each time.
func TestOrderOfMistakes(t *testing.T) {
	s, err := schema.For(reflect.TypeFor[struct {
		A, B, C, D int
	}]())
	if err != nil {
		t.Fatal(err)
	}
	const want = "/A: got string, want integer; /B: got string, want integer; /C: got string, want integer; /D: got string, want integer"
	for range 50 {
		if err := schema.Check(s, []byte(`{"D":"","C":"","B":"","A":""}`)); err == nil || err.Error() != want {
			t.Fatalf("%v, want %s", err, want)
		}
	}
}
