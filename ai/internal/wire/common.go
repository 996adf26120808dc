package wire

// Common finds what a short text has in common with others, which may be long.
type Common struct {
	Cut []bool // the bytes of the text that stand in another

	text  string
	at    map[int]map[string][]int // by the length of a window: where each stands that was not found yet
	marks int                      // how often a byte was marked
}

// NewCommon looks for pieces of that text.
func NewCommon(text string) *Common {
	return &Common{Cut: make([]bool, len(text)), text: text, at: make(map[int]map[string][]int)}
}

// Mark marks the pieces of at least n bytes that stand in other, too. What was found once is not looked for again: all calls of one n together
// mark no more than n times the length of the text, and each goes over other at most once.
func (c *Common) Mark(other string, n int) {
	if n <= 0 || len(c.text) < n || len(other) < n {
		return
	}
	at := c.at[n]
	if at == nil {
		at = make(map[string][]int)
		for i := 0; i+n <= len(c.text); i++ {
			at[c.text[i:i+n]] = append(at[c.text[i:i+n]], i)
		}
		c.at[n] = at
	}
	for i := 0; i+n <= len(other) && len(at) > 0; i++ {
		w := other[i : i+n]
		where, found := at[w]
		if !found {
			continue
		}
		for _, j := range where {
			for k := j; k < j+n; k++ {
				c.Cut[k] = true
			}
		}
		c.marks += n * len(where)
		delete(at, w)
	}
}
