package main

import (
	"fmt"
	"strings"
)

// shelf is a library of so many documents. Every third says something about bees, every fourth is long, and the last one is missing.
func shelf(n int) (names []string, library map[string]string) {
	library = make(map[string]string)
	for i := 1; i <= n; i++ {
		name := fmt.Sprintf("paper-%02d", i)
		names = append(names, name)
		switch {
		case i == n: // listed, and not there
			continue
		case i%3 == 0:
			library[name] = fmt.Sprintf("Field notes %d.\nThe bees of meadow %d fly from %d degrees on.\nIt rained.", i, i, 8+i%5)
		default:
			library[name] = fmt.Sprintf("Minutes %d.\nNothing was decided.", i)
		}
		if i%4 == 0 { // a long one
			library[name] += "\n" + strings.Repeat("They talked about the weather.\n", 30)
		}
	}
	return names, library
}
