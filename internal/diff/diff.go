// Package diff says how two texts differ, line by line.
package diff

// Lines is what to take out of a (-) and to put in (+) to get b, with a line of context around it, and how
// many lines that are.
func Lines(a, b []string) (out []string, changes int) {
	// common[i][j] is the length of the longest common part of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = 1 + common[i+1][j+1]
			}
		}
	}
	var all []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			all, i, j = append(all, "  "+a[i]), i+1, j+1
		case i < len(a) && (j == len(b) || common[i+1][j] >= common[i][j+1]):
			all, i = append(all, "- "+a[i]), i+1
		default:
			all, j = append(all, "+ "+b[j]), j+1
		}
	}
	changed := func(k int) bool { return k >= 0 && k < len(all) && all[k][0] != ' ' }
	for k, l := range all {
		if changed(k) {
			changes++
		}
		if changed(k) || changed(k-1) || changed(k+1) {
			out = append(out, l)
		}
	}
	return out, changes
}
