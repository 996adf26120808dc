package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/examples/documents/pipeline"
	"github.com/durable-go/durable/examples/documents/samples"
)

// expected is what a person reads in a sample. Review says why the rules cannot be left
// alone with it, and then they must say so themselves.
type expected struct {
	Kind     pipeline.DocType
	Review   string
	Invoice  *invoiceFields
	Contract *contractFields
}

type invoiceFields struct {
	Number                    string `json:"invoice_number"`
	Date                      string `json:"date"`
	Due                       string `json:"due_date"`
	Supplier, Customer        string
	Currency                  string
	Lines                     int
	Net, Tax, Total, Discount string
}

type contractFields struct {
	Title     string
	Parties   []string
	Effective string `json:"effective_date"`
	Term      string
	Law       string `json:"governing_law"`
}

func fieldsOf(i pipeline.Invoice) *invoiceFields {
	return &invoiceFields{
		i.Number, string(i.Date), string(i.Due), i.Supplier, i.Customer, i.Currency, len(i.Lines),
		i.Net.String(), i.Tax.String(), i.Total.String(), i.Discount.String(),
	}
}

func termsOf(c pipeline.Contract) *contractFields {
	f := &contractFields{Title: c.Title, Effective: string(c.Effective), Term: c.Term, Law: c.Law}
	for _, p := range c.Parties {
		s := p.Name
		if p.Role != "" {
			s += " (" + p.Role + ")"
		}
		f.Parties = append(f.Parties, s)
	}
	return f
}

// reading is what the pipeline would get: an answer, its fields, and why a person is asked.
type reading struct {
	Kind     pipeline.DocType
	Sure     float64
	invoice  *invoiceFields
	contract *contractFields
	caught   []string
}

// readAll reads a text as the pipeline does, with the answers of the rules for people.
func readAll(t *testing.T, text string) (r reading) {
	t.Helper()
	d, err := pipeline.Straight(offline(t), "x", text)
	if err != nil {
		t.Fatal(err)
	}
	if d.Confidence == nil {
		t.Fatal("the offline model says no confidence")
	}
	if r.Kind, r.Sure = d.Type, *d.Confidence; r.Sure < pipeline.Sure {
		r.caught = append(r.caught, fmt.Sprintf("confidence %.2f", r.Sure))
	}
	if d.Invoice != nil {
		r.invoice, r.caught = fieldsOf(*d.Invoice), append(r.caught, d.Invoice.Check()...)
	}
	if d.Contract != nil {
		r.contract, r.caught = termsOf(*d.Contract), append(r.caught, d.Contract.Check()...)
	}
	return r
}

// offline is a context in which the model is the offline one.
func offline(t testing.TB) context.Context {
	t.Helper()
	c, err := pipeline.Offline()
	if err != nil {
		t.Fatal(err)
	}
	return ai.WithClient(t.Context(), c)
}

func expectations(t *testing.T) map[string]expected {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]expected
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	return want
}

// What the rules get wrong must be caught: that is the promise the pipeline builds on. And
// what they get right must not bother anybody. The numbers it logs are no measure of how
// the rules do on other documents: they were written beside these.
func TestSamples(t *testing.T) {
	want := expectations(t)
	all := samples.All()
	if len(all) != len(want) {
		t.Errorf("%d samples, %d expectations", len(all), len(want))
	}
	kinds, fields, review := 0, 0, 0
	for _, s := range all {
		w, ok := want[s.Name]
		if !ok {
			t.Errorf("%s: no expectation", s.Name)
			continue
		}
		got := readAll(t, s.Text)
		t.Logf("%-32s %-8s as %-8s %.2f %q", s.Name, w.Kind, got.Kind, got.Sure, got.caught)
		rightKind := got.Kind == w.Kind
		rightFields := rightKind && reflect.DeepEqual(got.invoice, w.Invoice) && reflect.DeepEqual(got.contract, w.Contract)
		if rightKind {
			kinds++
		}
		if rightFields {
			fields++
		}
		switch {
		case w.Review != "":
			review++
			if len(got.caught) == 0 {
				t.Errorf("%s: not caught, although %s", s.Name, w.Review)
			}
		case !rightKind:
			t.Errorf("%s: %s, want %s", s.Name, got.Kind, w.Kind)
		case len(got.caught) > 0:
			t.Errorf("%s: needless review: %q", s.Name, got.caught)
		case !rightFields:
			t.Errorf("%s:\n got %+v %+v\nwant %+v %+v", s.Name, got.invoice, got.contract, w.Invoice, w.Contract)
		}
	}
	t.Logf("right kind: %d of %d; all fields right: %d; to a person: %d", kinds, len(all), fields, review)
	if review < 3 {
		t.Errorf("%d samples need a person, want at least 3", review)
	}
}

// The model is asked again after a crash: the same text must get the same answer.
func TestDeterministic(t *testing.T) {
	for _, s := range samples.All() {
		a, b := readAll(t, s.Text), readAll(t, s.Text)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %+v, then %+v", s.Name, a, b)
		}
	}
}
