package store

import (
	"slices"
	"strings"
)

// maxBlocked is how many fingerprints an execution keeps. More kinds of code are
// never at work at once.
const maxBlocked = 16

// AddBlocked is what a blocked Release makes of Execution.Blocked: the
// fingerprint comes last, if it is new. An empty one adds nothing. The 17th
// begins the list anew. The list that came in is left as it is.
func AddBlocked(list []string, fingerprint string) []string {
	switch {
	case fingerprint == "" || slices.Contains(list, fingerprint):
		return list
	case len(list) >= maxBlocked:
		return []string{fingerprint}
	}
	return append(list[:len(list):len(list)], fingerprint)
}

// JoinBlocked writes the list as one text, for databases. Equal lists give
// equal texts; none is "".
func JoinBlocked(list []string) string { return strings.Join(list, " ") }

// SplitBlocked is the inverse of JoinBlocked.
func SplitBlocked(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, " ")
}
