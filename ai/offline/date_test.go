package offline

import (
	"testing"
)

func TestParseDate(t *testing.T) {
	for _, c := range []struct {
		in         string
		monthFirst bool
		want       isoDate // empty: refused
	}{
		{"2025-03-14", false, "2025-03-14"},
		{"14.03.2025", false, "2025-03-14"},
		{"14.3.25", false, "2025-03-14"},
		{"14/03/2025", false, "2025-03-14"},
		{"14/03/2025", true, "2025-03-14"},
		{"03/14/2025", false, "2025-03-14"},
		{"03/04/2025", false, "2025-04-03"},
		{"03/04/2025", true, "2025-03-04"},
		{"03.04.2025", true, "2025-04-03"}, // points are never American
		{"14 March 2025", false, "2025-03-14"},
		{"14th March, 2025", false, "2025-03-14"},
		{"1st day of March 2025", false, "2025-03-01"},
		{"March 14, 2025", false, "2025-03-14"},
		{"Mar. 14th 2025", false, "2025-03-14"},
		{"14-Mar-2025", false, "2025-03-14"},
		{"14. März 2025", false, "2025-03-14"},
		{"1er août 2025", false, "2025-08-01"},
		{"6 mai 2025", false, "2025-05-06"},
		{"29 February 2024", false, "2024-02-29"},
		{"29 February 2025", false, ""},
		{"31.04.2025", false, ""},
		{"2025-13-01", false, ""},
		{"00/00/2025", false, ""},
		{"14 March", false, ""},
		{"1.2.34.5", false, ""},
		{"1234-567-89", false, ""},
		{"14 . 03 . 2025", false, ""},
		{"due 14 March 2025", false, ""},
		{"14 March 2025 or so", false, ""},
		{"14 March 20255", false, ""},
		{"", false, ""},
	} {
		got, ok := parseDate(c.in, c.monthFirst)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("parseDate(%q, %v) = %q, %v, want %q", c.in, c.monthFirst, got, ok, c.want)
		}
	}
}
