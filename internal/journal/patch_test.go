package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// canonical is a JSON text with its members in order and its numbers as text.
func canonical(text []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	out, err := json.Marshal(v)
	return string(out), err
}

// drawJSON is a compact JSON text. Its members have hard keys and come in any
// order.
func drawJSON(t *rapid.T, depth int) string {
	top := 9
	if depth == 0 {
		top = 6
	}
	switch rapid.IntRange(0, top).Draw(t, "kind") {
	case 0:
		return "null"
	case 1:
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	case 2, 3:
		return rapid.SampledFrom([]string{"0", "1", "-1", "9007199254740993", "9007199254740992", "1.0", "1e400", "0.1"}).Draw(t, "number")
	case 4, 5, 6:
		return rapid.SampledFrom([]string{`""`, `"a"`, `"]}"`, `"\\\""`, `"\\"`, `"\u0000"`, `"é🙂"`, `",["`, `"\ud83d\ude42"`, `"<"`}).Draw(t, "string")
	case 7:
		n := rapid.IntRange(0, 5).Draw(t, "items")
		list := make([]string, n)
		for i := range list {
			list[i] = drawJSON(t, depth-1)
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	return drawObject(t, depth)
}

func drawObject(t *rapid.T, depth int) string {
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom(hardKeys()), 0, 5, rapid.ID[string]).Draw(t, "keys")
	for i, k := range keys {
		keys[i] = drawQuote(t, k) + ":" + drawJSON(t, depth-1)
	}
	return "{" + strings.Join(keys, ",") + "}"
}

// drawQuote writes a key, now and then in another way than we do.
func drawQuote(t *rapid.T, key string) string {
	if key != "" && key[0] >= 'A' && key[0] <= 'z' && rapid.IntRange(0, 7).Draw(t, "escape") == 0 {
		return fmt.Sprintf(`"\u%04x%s`, key[0], string(quote(key[1:]))[1:])
	}
	return string(quote(key))
}

// Where a patch is said to give a text to the byte, it does.
func TestPL2_ExactPatches(t *testing.T) {
	exact := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t, false)
		patch, is := diff(a, b)
		got, err := Apply(patch, a)
		if err != nil {
			t.Fatal(err)
		}
		if is {
			exact++
			if !bytes.Equal(got, b) {
				t.Fatalf("%s with %s gives %s, not %s to the byte", a, patch, got, b)
			}
		}
	})
	if exact < 20 {
		t.Errorf("only %d patches were exact", exact)
	}
}

func hardKeys() []string {
	return []string{"", "a", "b", "A", "a/b", "~", "~0", "~1", "/", "set", "remove", "0", "-", "\"", "\\", "é", "🙂", "\x00", "a b"}
}

// pair is two related texts: edits of one another more often than not.
func drawPair(t *rapid.T, object bool) (a, b []byte) {
	draw := func() string {
		if object {
			return drawObject(t, 3)
		}
		return drawJSON(t, 3)
	}
	a = []byte(draw())
	if rapid.Bool().Draw(t, "unrelated") {
		return a, []byte(draw())
	}
	return a, []byte(edit(t, string(a), 3))
}

// edit changes a text here and there.
func edit(t *rapid.T, text string, depth int) string {
	if rapid.IntRange(0, 9).Draw(t, "replace") == 0 {
		return drawJSON(t, depth)
	}
	if list, ok := members(nil, []byte(text)); ok {
		var out []string
		for _, m := range list {
			switch rapid.IntRange(0, 5).Draw(t, "member") {
			case 0: // removed
			case 1:
				out = append(out, string(m.quote)+":"+edit(t, string(m.value), depth-1))
			case 2:
				out = append(out, drawQuote(t, m.key)+":"+string(m.value))
			default:
				out = append(out, string(m.quote)+":"+string(m.value))
			}
		}
		known := keyed(list)
		if key := rapid.SampledFrom(hardKeys()).Draw(t, "added"); known.find(key) < 0 {
			at := rapid.IntRange(0, len(out)).Draw(t, "at")
			out = slices.Insert(out, at, drawQuote(t, key)+":1")
		}
		if rapid.IntRange(0, 7).Draw(t, "turn round") == 0 {
			slices.Reverse(out)
		}
		return "{" + strings.Join(out, ",") + "}"
	}
	if list, ok := items([]byte(text)); ok {
		var out []string
		for _, v := range list {
			if rapid.IntRange(0, 3).Draw(t, "item") == 0 {
				v = []byte(edit(t, string(v), depth-1))
			}
			out = append(out, string(v))
		}
		switch rapid.IntRange(0, 3).Draw(t, "length") {
		case 0:
			out = out[:len(out)/2]
		case 1:
			out = append(out, drawJSON(t, 1), "null")
		}
		return "[" + strings.Join(out, ",") + "]"
	}
	return text
}

// diffApply is what the oracle of patches asks of Diff and Apply; mutants are
// given to it, too.
func diffApply(a, b []byte, diff func(a, b []byte) []byte) error {
	p := diff(a, b)
	if p != nil && !json.Valid(p) {
		return fmt.Errorf("the patch %s is no JSON", p)
	}
	got, err := Apply(p, a)
	if err != nil {
		return fmt.Errorf("patch %s: %w", p, err)
	}
	want, err := canonical(b)
	if err != nil {
		return err
	}
	have, err := canonical(got)
	if err != nil {
		return fmt.Errorf("patch %s gives %s: %w", p, got, err)
	}
	if have != want {
		return fmt.Errorf("patch %s gives %s, want %s", p, have, want)
	}
	if len(p) > len(b)+20 {
		return fmt.Errorf("the patch has %d bytes, the text %d", len(p), len(b))
	}
	return nil
}

func TestPL2_PatchGivesTheOtherText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t, false)
		if err := diffApply(a, b, Diff); err != nil {
			t.Fatalf("%s to %s: %v", a, b, err)
		}
	})
}

func TestPL2_NamedPatches(t *testing.T) {
	for _, c := range []struct{ name, a, b, patch string }{
		{"equal", `{"a":1}`, `{"a":1}`, ``},
		{"order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, ``},
		{"null for absent", `{"a":1}`, `{"a":1,"b":null}`, `[["set","/b",null]]`},
		{"null for a value", `{"a":1}`, `{"a":null}`, `[["set","/a",null]]`},
		{"absent for null", `{"a":1,"b":null}`, `{"a":1}`, `[["remove","/b"]]`},
		{"emptied map", `{"m":{"x":1,"y":2},"long":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`, `{"m":{},"long":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`, `[["remove","/m/x"],["remove","/m/y"]]`},
		{"empty for null", `{"l":null}`, `{"l":[]}`, `[["set","/l",[]]]`},
		{"grown list", `{"l":[1,2]}`, `{"l":[1,2,3]}`, `[["append","/l",[3]]]`},
		{"cut list", `{"l":[1,2,3,4]}`, `{"l":[1,2]}`, `[["cut","/l",2]]`},
		{"item", `{"l":[1,2,3,4]}`, `{"l":[1,5,3,4]}`, `[["set","/l/1",5]]`},
		{"item and growth", `{"l":[1,2,3],"s":"long enough"}`, `{"l":[1,5,3,4],"s":"long enough"}`, `[["set","/l/1",5],["append","/l",[4]]]`},
		{"big numbers", `{"n":9007199254740993}`, `{"n":9007199254740992}`, `[["set","/n",9007199254740992]]`},
		{"number as written", `{"n":1}`, `{"n":1.0}`, `[["set","/n",1.0]]`},
		{"slash", `{"a/b":1}`, `{"a/b":2}`, `[["set","/a~1b",2]]`},
		{"tilde", `{"~":1,"~1":1}`, `{"~":2,"~1":1}`, `[["set","/~0",2]]`},
		{"escaped tilde", `{"~1":{"x":1}}`, `{"~1":{"x":2}}`, `[["set","/~01/x",2]]`},
		{"empty key", `{"":1}`, `{"":2}`, `[["set","/",2]]`},
		{"key like an operation", `{"set":1}`, `{"set":2}`, `[["set","/set",2]]`},
		{"unicode", `{"é":"🙂"}`, `{"é":"☹"}`, `[["set","/é","☹"]]`},
		{"escapes of one key", `{"\u0061":1}`, `{"a":2}`, `[["set","/a",2]]`},
		{"another kind", `{"a":[1]}`, `{"a":{"0":1}}`, `[["set","/a",{"0":1}]]`},
		{"whole", `[1]`, `{}`, `[["set","",{}]]`},
		{"a key twice", `{"a":1,"a":2}`, `{"a":1,"a":3}`, `[["set","",{"a":1,"a":3}]]`},
		{"a key that is no UTF-8", "{\"\xff\":1}", "{\"\xff\":2}", "[[\"set\",\"/\ufffd\",2]]"},
	} {
		if got := string(Diff([]byte(c.a), []byte(c.b))); got != c.patch {
			t.Errorf("%s: %s, want %s", c.name, got, c.patch)
		}
		if err := diffApply([]byte(c.a), []byte(c.b), Diff); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPatchesThatDoNotFit(t *testing.T) {
	const text = `{"a":{"b":1},"l":[1,2]}`
	for _, p := range []string{
		`x`, `{}`, ` [["set","/a",1]]`, `[["set", "/a",1]]`, `[1]`, `[["set"]]`, `[[1,"/a",1]]`, `[["set",1,1]]`,
		`[["set","a",1]]`, `[["set","/x/y",1]]`, `[["set","/a/b/c",1]]`, `[["set","/l/2",1]]`, `[["set","/l/x",1]]`, `[["set","/l/-1",1]]`,
		`[["set","/a"]]`, `[["set",""]]`, `[["remove",""]]`, `[["remove","/l/0"]]`, `[["remove","/x/y"]]`,
		`[["append","/a",[1]]]`, `[["append","/l",1]]`, `[["append","/x",[1]]]`, `[["set","/a/b",2],["append","/a",[1]]]`,
		`[["cut","/l",3]]`, `[["cut","/l",-1]]`, `[["cut","/l","1"]]`, `[["cut","/a",0]]`, `[["move","/a","/b"]]`,
	} {
		if got, err := Apply([]byte(p), []byte(text)); !errors.Is(err, ErrPatch) {
			t.Errorf("%s: %s, %v; want ErrPatch", p, got, err)
		}
	}
}

func TestOperationsFollowEachOther(t *testing.T) {
	for _, c := range []struct{ text, patch, want string }{
		{`{"a":1}`, `[["remove","/a"],["set","/a",2],["set","/b",{}],["set","/b/c",[]],["append","/b/c",[1,2]],["set","/b/c/0",9]]`, `{"a":2,"b":{"c":[9,2]}}`},
		{`{"l":[1,2,3]}`, `[["set","/l/0",0],["append","/l",[4,5]],["cut","/l",4],["append","/l",[]]]`, `{"l":[0,2,3,4]}`},
		{`[]`, `[["append","",[1]],["append","",[2]]]`, `[1,2]`},
		{`[]`, `[["append","",[]],["cut","",0]]`, `[]`},
		{`{"a":{"b":{"c":1,"d":2}},"z":0}`, `[["remove","/a/b/c"],["remove","/no"],["set","/a",{"x":1}],["set","/a/x",2]]`, `{"a":{"x":2},"z":0}`},
		{`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}`, `[["remove","/b"],["set","/j",1],["set","/j",2],["set","/b",0],["set","/i",1]]`, `{"a":1,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":1,"j":2,"b":0}`},
	} {
		got, err := Apply([]byte(c.patch), []byte(c.text))
		if err != nil || string(got) != c.want {
			t.Errorf("%s on %s: %s, %v; want %s", c.patch, c.text, got, err, c.want)
		}
	}
}

// known is a state type of older code: it does not know all members.
type known struct {
	Name  string           `json:"name,omitempty"`
	Count int64            `json:"count"`
	List  []inner          `json:"list"`
	Map   map[string]inner `json:"map,omitempty"`
	Sub   *inner           `json:"sub,omitempty"`
	Deep  inner            `json:"deep"`
	Raw   json.RawMessage  `json:"raw,omitempty"`
}

type inner struct {
	X int64    `json:"x,omitempty"`
	L []string `json:"l"`
}

func drawInner(t *rapid.T) inner {
	return inner{X: rapid.Int64Range(0, 3).Draw(t, "x"), L: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 3).Draw(t, "l")}
}

func drawKnown(t *rapid.T) known {
	k := known{Name: rapid.SampledFrom([]string{"", "n", "m"}).Draw(t, "name"), Count: rapid.Int64().Draw(t, "count"), Deep: drawInner(t)}
	if rapid.Bool().Draw(t, "has list") {
		k.List = rapid.SliceOfN(rapid.Custom(drawInner), 0, 3).Draw(t, "list")
	}
	if rapid.Bool().Draw(t, "has map") {
		k.Map = rapid.MapOfN(rapid.SampledFrom([]string{"a", "A", "b", "x"}), rapid.Custom(drawInner), 0, 3).Draw(t, "map")
	}
	if rapid.Bool().Draw(t, "has sub") {
		s := drawInner(t)
		k.Sub = &s
	}
	return k
}

// disguise writes a text as other code might have stored it: members that
// this code does not know, names in another case, defaults left out.
func disguise(t *rapid.T, text []byte, inMap bool) []byte {
	list, ok := members(nil, text)
	if !ok {
		if l, ok := items(text); ok {
			for i := range l {
				l[i] = disguise(t, l[i], false)
			}
			return joinItems(l)
		}
		return text
	}
	var out []member
	for _, m := range list {
		switch {
		case inMap:
			m.value = disguise(t, m.value, false)
		case slices.Contains([]string{"0", "null"}, string(m.value)) && rapid.Bool().Draw(t, "left out"):
			continue
		default:
			m.value = disguise(t, m.value, m.key == "map")
			if rapid.IntRange(0, 4).Draw(t, "other case") == 0 {
				m.quote = bytes.ToUpper(m.quote)
			}
		}
		out = append(out, m)
	}
	if !inMap {
		m := member{quote: []byte(`"later"`), value: []byte(`[9007199254740993]`)}
		out = slices.Insert(out, rapid.IntRange(0, len(out)).Draw(t, "at"), m)
	}
	return joinMembers(out)
}

func encode(t interface{ Fatal(...any) }, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVR5_ChangeKeepsUnknownMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := disguise(t, encode(t, drawKnown(t)), false)
		var s known
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		before := encode(t, s)
		if change := drawKnown(t); rapid.Bool().Draw(t, "all") {
			s = change
		} else {
			s.Count, s.Name, s.Deep.L = change.Count, change.Name, change.Deep.L
		}
		after := encode(t, s)
		patch, state := Change(raw, before, after)
		if got, err := Apply(patch, raw); err != nil || !bytes.Equal(got, state) {
			t.Fatalf("the patch gives %s, %v; Change said %s", got, err, state)
		}
		var got known
		if err := json.Unmarshal(state, &got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encode(t, got), after) {
			t.Fatalf("raw %s\nbefore %s\nafter %s\nstate %s", raw, before, after, state)
		}
		count := func(text []byte) (n int) { // at the top and in "deep", where nothing moves
			var v struct {
				Later []json.Number `json:"later"`
				Deep  struct {
					Later []json.Number `json:"later"`
				} `json:"deep"`
			}
			if err := json.Unmarshal(text, &v); err != nil {
				t.Fatal(err)
			}
			for _, l := range slices.Concat(v.Later, v.Deep.Later) {
				if l != "9007199254740993" {
					t.Fatalf("a number that was not touched became %s", l)
				}
				n++
			}
			return n
		}
		if count(raw) != count(state) {
			t.Fatalf("unknown members of %s are not in %s", raw, state)
		}
	})
}

func TestVR5_NamedChanges(t *testing.T) {
	for _, c := range []struct{ name, raw, before, after, state string }{
		{"nothing", `{"x":1,"a":1}`, `{"a":1}`, `{"a":1}`, `{"x":1,"a":1}`},
		{"unknown kept", `{"x":1,"a":1}`, `{"a":1}`, `{"a":2}`, `{"x":1,"a":2}`},
		{"unknown kept below", `{"o":{"x":1,"a":1}}`, `{"o":{"a":1}}`, `{"o":{"a":2}}`, `{"o":{"x":1,"a":2}}`},
		{"new field of the type", `{"x":1}`, `{"a":0}`, `{"a":2}`, `{"x":1,"a":2}`},
		{"new field, unchanged", `{"x":1,"b":1}`, `{"a":0,"b":1}`, `{"a":0,"b":2}`, `{"x":1,"b":2}`},
		{"new field below", `{"x":1}`, `{"o":{"a":0}}`, `{"o":{"a":1}}`, `{"x":1,"o":{"a":1}}`},
		{"removed", `{"x":1,"a":1}`, `{"a":1}`, `{}`, `{"x":1}`},
		{"removed, stored in another case", `{"x":1,"Name":"n"}`, `{"name":"n"}`, `{}`, `{"x":1}`},
		{"set, stored in another case", `{"x":1,"Name":"n"}`, `{"name":"n"}`, `{"name":"m"}`, `{"x":1,"Name":"m"}`},
		{"stored in two writings", `{"Name":"l","name":"m","NAME":"n"}`, `{"name":"n"}`, `{"name":"o"}`, `{"NAME":"o"}`},
		{"below, stored in another case", `{"O":{"x":1,"a":1}}`, `{"o":{"a":1}}`, `{"o":{"a":2}}`, `{"O":{"x":1,"a":2}}`},
		{"kept, stored in another case", `{"Name":"n","a":1}`, `{"name":"n","a":1}`, `{"name":"n","a":2}`, `{"Name":"n","a":2}`},
		{"null that the type leaves out", `{"a":null}`, `{}`, `{"a":[1]}`, `{"a":[1]}`},
		{"map keys that differ in case", `{"a":1,"A":2}`, `{"a":1,"A":2}`, `{"A":2}`, `{"A":2}`},
		{"map keys, raw written otherwise", `{"m":{"a":1,"A":2},"x":0}`, `{"m":{"A":2,"a":1}}`, `{"m":{"A":2}}`, `{"m":{"A":2},"x":0}`},
		{"items kept", `{"l":[{"x":1,"a":1},{"x":2,"a":2}]}`, `{"l":[{"a":1},{"a":2}]}`, `{"l":[{"a":1},{"a":2},{"a":3}]}`, `{"l":[{"x":1,"a":1},{"x":2,"a":2},{"a":3}]}`},
		{"an item moved up", `{"l":[{"x":1,"a":1},{"x":2,"a":2}]}`, `{"l":[{"a":1},{"a":2}]}`, `{"l":[{"a":2}]}`, `{"l":[{"a":2}]}`},
		{"a list that the type shortens", `{"l":[1,2,3,4]}`, `{"l":[2,4]}`, `{"l":[2,5]}`, `{"l":[2,5]}`},
		{"a key twice", `{"a":1,"a":2,"x":1}`, `{"a":2}`, `{"a":3}`, `{"a":3}`},
		{"another kind", `{"a":"1"}`, `{"a":1}`, `{"a":2}`, `{"a":2}`},
	} {
		patch, state := Change([]byte(c.raw), []byte(c.before), []byte(c.after))
		if string(state) != c.state {
			t.Errorf("%s: %s, want %s (patch %s)", c.name, state, c.state, patch)
		}
		if got, err := Apply(patch, []byte(c.raw)); err != nil || !bytes.Equal(got, state) {
			t.Errorf("%s: the patch %s gives %s, %v", c.name, patch, got, err)
		}
	}
}

// bigState is about 256 KiB in n members and a list of n items.
func bigState(n int, changed func(i int) bool, more int) []byte {
	var b strings.Builder
	b.WriteString(`{"fields":{`)
	for i := range n {
		v := 1
		if changed(i) {
			v = 2
		}
		fmt.Fprintf(&b, `"k%d":%d,`, i, v)
	}
	b.WriteString(`"last":0},"list":[0`)
	for i := range n + more {
		fmt.Fprintf(&b, `,{"i":%d}`, i)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

func TestPL3_PatchesCostWhatChanged(t *testing.T) {
	none := func(int) bool { return false }
	const n = 12_500
	state := bigState(n, none, 0)
	if len(state) < 256<<10 {
		t.Fatalf("the state has only %d bytes", len(state))
	}
	if p := Diff(state, bigState(n, func(i int) bool { return i == n/2 }, 0)); len(p) > 40 {
		t.Errorf("one field: %d bytes", len(p))
	}
	if p := string(Diff(state, bigState(n, none, 2))); p != `[["append","/list",[{"i":12500},{"i":12501}]]]` {
		t.Errorf("a list that grew by two stores %.100s", p)
	}
	half := bigState(n, func(i int) bool { return i%2 == 0 }, 0)
	p := Diff(state, half)
	if len(p) > len(half)+16 {
		t.Errorf("half of all fields: %d bytes, more than the state", len(p))
	}
	// 6,000 operations on 340 KB: quadratic cost would allocate gigabytes.
	var got []byte
	var err error
	used := allocated(func() { got, err = Apply(p, state) })
	if err != nil || !bytes.Equal(got, half) {
		t.Fatalf("half of all fields: %v", err)
	}
	if used > 32*uint64(len(state)) {
		t.Errorf("applying %d bytes to %d allocates %d", len(p), len(state), used)
	}
}

// The oracle of patches catches what it is for.
func TestPatchOracleCatchesPlantedBugs(t *testing.T) {
	edited := func(old, text string) func(a, b []byte) []byte {
		return func(a, b []byte) []byte { return bytes.ReplaceAll(Diff(a, b), []byte(old), []byte(text)) }
	}
	for name, mutant := range map[string]func(a, b []byte) []byte{
		"null lost": func(a, b []byte) []byte { // as in RFC 7386
			return bytes.ReplaceAll(regexpNull(Diff(a, b)), []byte(`[,`), []byte(`[`))
		},
		"a cut is forgotten":    edited(`["cut",`, `["append",`),
		"pointers not escaped":  edited(`~1`, `/`),
		"removes are forgotten": func(a, b []byte) []byte { return dropOps(Diff(a, b), "remove") },
		"appends replace":       edited(`["append",`, `["set",`),
		"floats":                func(a, b []byte) []byte { return Diff(a, floats(b)) },
	} {
		caught := false
		for seed := 0; seed < 3000 && !caught; seed++ {
			rng := rand.New(rand.NewSource(int64(seed)))
			a, b := randomJSON(rng, 3), randomJSON(rng, 3)
			if seed%2 == 0 {
				b = bytes.Replace(a, []byte(`1`), []byte(`null`), 1)
			} else if l := bytes.Replace(a, []byte(`[`), []byte(`[7,`), 1); json.Valid(l) {
				if seed%4 == 1 {
					a, b = l, a
				} else {
					b = bytes.Replace(l, []byte(`]`), []byte(`,9007199254740993]`), 1)
				}
			}
			caught = json.Valid(b) && diffApply(a, b, Diff) == nil && diffApply(a, b, mutant) != nil
		}
		if !caught {
			t.Errorf("%s: not caught", name)
		}
	}
}

func dropOps(patch []byte, name string) []byte {
	ops, _ := items(patch)
	ops = slices.DeleteFunc(ops, func(op []byte) bool { return bytes.HasPrefix(op, []byte(`["`+name+`"`)) })
	if len(ops) == 0 {
		return nil
	}
	return joinItems(ops)
}

// regexpNull drops operations that set null.
func regexpNull(patch []byte) []byte {
	ops, _ := items(patch)
	ops = slices.DeleteFunc(ops, func(op []byte) bool { return bytes.HasSuffix(op, []byte(`,null]`)) })
	if len(ops) == 0 {
		return nil
	}
	return joinItems(ops)
}

func floats(text []byte) []byte {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return text
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return out
}

func randomJSON(rng *rand.Rand, depth int) []byte {
	if depth == 0 || rng.Intn(4) == 0 {
		return []byte([]string{"null", "1", "9007199254740993", `"a"`, "true"}[rng.Intn(5)])
	}
	var parts [][]byte
	if rng.Intn(3) == 0 {
		for range rng.Intn(5) {
			parts = append(parts, randomJSON(rng, depth-1))
		}
		return joinItems(parts)
	}
	var list []member
	for _, k := range hardKeys() {
		if rng.Intn(4) == 0 {
			list = append(list, member{quote: quote(k), value: randomJSON(rng, depth-1)})
		}
	}
	return joinMembers(list)
}

func TestCompact(t *testing.T) {
	for in, want := range map[string]string{`{"a":1}`: `{"a":1}`, "{ \"a b\" :\t1 }\n": `{"a b":1}`, `"x y"`: `"x y"`} {
		if got, err := Compact([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if _, err := Compact([]byte(`{`)); err == nil {
		t.Error("half an object is accepted")
	}
}

func FuzzPatch(f *testing.F) {
	for _, c := range [][3]string{
		{`{"a":1}`, `{"a":null,"b":[]}`, `[["set","/a",2]]`},
		{`[1,2,3]`, `[1]`, `[["cut","",1],["append","",[{}]]]`},
		{`{"a":{"~":"\\\""}}`, `{"a":{"/":""}}`, `[["remove","/a/~0"]]`},
		{`{"a":1,"a":2}`, `{"\u0061":3}`, `[["set","/a/b/c",null]]`},
	} {
		f.Add([]byte(c[0]), []byte(c[1]), []byte(c[2]))
	}
	f.Fuzz(func(t *testing.T, a, b, patch []byte) {
		a, errA := Compact(a)
		b, errB := Compact(b)
		if errA != nil || errB != nil {
			return
		}
		if got, err := Apply(patch, a); err == nil && !json.Valid(got) {
			t.Fatalf("%q on %s gives %s", patch, a, got)
		} else if err != nil && !errors.Is(err, ErrPatch) {
			t.Fatal(err)
		}
		if _, err := canonical(b); err != nil {
			return // nested deeper than a decoder goes
		}
		if err := diffApply(a, b, Diff); err != nil {
			t.Fatalf("%s to %s: %v", a, b, err)
		}
		p, state := Change(a, b, a)
		if got, err := Apply(p, a); err != nil || !reflect.DeepEqual(got, state) {
			t.Fatalf("Change(%s, %s, %s): %v", a, b, a, err)
		}
	})
}
