package schema

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestIN3_ChoicesInMistakes(t *testing.T) {
	for schema, want := range map[string]string{
		`{"enum":["a","<b>",1.50,null]}`:                                       `it must be one of "a", "<b>", 1.50, null`,
		`{"const":{"a":1}}`:                                                    `it must be {"a":1}`,
		`{"enum":["` + strings.Repeat("x", 200) + `"]}`:                        `it must be one of "` + strings.Repeat("x", 99) + "…",
		`{"enum":[` + strings.TrimSuffix(strings.Repeat("1,", 21), ",") + `]}`: "it must be one of " + strings.TrimSuffix(strings.Repeat("1, ", 20), ", ") + " and 1 more",
	} {
		if err := Check([]byte(schema), []byte(`"other"`)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", schema, err, want)
		}
	}
}

// null is left out: in forms that were stored before, too, since it is no matter of the schema.
func TestIN3_NullIsLeftOut(t *testing.T) {
	type inner struct {
		Must string `json:"must" durable:"required"`
		May  *int   `json:"may" durable:"default=7"`
	}
	type form struct {
		List  []string `json:"list"`
		Group *inner   `json:"group"`
		Text  string   `json:"text" durable:"default=x"`
		Must  []string `json:"must" durable:"required"`
		In    inner    `json:"in"`
	}
	fields, s, err := Form(reflect.TypeFor[form]())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(fields) // as they are kept
	if err != nil {
		t.Fatal(err)
	}
	var kept []Field
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		`{"list":null,"group":null,"text":null,"must":["a"],"in":{"must":"b","may":null}}`: `{"in":{"may":7,"must":"b"},"must":["a"],"text":"x"}`,
		`{"must":null,"in":null}`:           "/in: got null, want object; /must: got null, want array",
		`{"must":["a"],"in":{"must":null}}`: "/in/must: got null, want string",
	} {
		got, err := Fit(s, kept, []byte(value))
		if text := string(got); err == nil && text != want || err != nil && err.Error() != want {
			t.Errorf("%s: %s, %v; want %s", value, got, err, want)
		}
	}
}
