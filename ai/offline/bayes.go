package offline

import (
	_ "embed"
	"math"
	"slices"
	"strings"
)

//go:embed train/invoice.txt
var trainInvoice string

//go:embed train/contract.txt
var trainContract string

//go:embed train/other.txt
var trainOther string

const (
	weightWords = 1.6 // the most that all words together may add to a kind
	fullWords   = 14  // distinct known words from which on more of them add nothing
	minLetters  = 3   // shorter words say little
)

// bayes is a naive Bayes classifier over the presence of words: for each word the
// log-likelihoods under the kinds, less their mean.
type bayes map[string][3]float64

// training are the texts of a kind, without those who divide them.
func training(k kind) []string {
	text := map[kind]string{kindInvoice: trainInvoice, kindContract: trainContract, kindOther: trainOther}[k]
	var out []string
	for t := range strings.SplitSeq(text, "\n---\n") {
		out = append(out, strings.TrimSpace(t))
	}
	return out
}

func train() bayes {
	counts := map[string][3]int{}
	var texts [3]int
	for k, kind := range kinds() {
		for _, text := range training(kind) {
			texts[k]++
			for w := range distinct(strings.Split(text, "\n")) {
				c := counts[w]
				c[k]++
				counts[w] = c
			}
		}
	}
	b := bayes{}
	for w, c := range counts {
		var l [3]float64
		mean := 0.0
		for k := range l {
			l[k] = math.Log((float64(c[k]) + 0.5) / (float64(texts[k]) + 1))
			mean += l[k] / 3
		}
		for k := range l {
			l[k] -= mean
		}
		b[w] = l
	}
	return b
}

// distinct are the words of a text that say something, without numbers.
func distinct(lines []string) map[string]bool {
	out := map[string]bool{}
	for _, l := range lines {
		for _, w := range words(l) {
			if letters(w.text) >= minLetters && len(out) < maxWords {
				out[w.text] = true
			}
		}
	}
	return out
}

// weigh is what the words of a text add to each kind. A long text has more words, but not
// more to say: beyond fullWords the sum is scaled down to their number. It is at most
// weightWords, as words lean on each other.
func (b bayes) weigh(lines []string) (sum [3]float64, known int) {
	found := make([]string, 0, 64)
	for w := range distinct(lines) {
		if _, ok := b[w]; ok {
			found = append(found, w)
		}
	}
	slices.Sort(found) // so that the sum is the same each time
	for _, w := range found {
		for k, l := range b[w] {
			sum[k] += l
		}
	}
	scale := min(1, fullWords/float64(max(len(found), 1)))
	for k := range sum {
		sum[k] = weightWords * math.Tanh(sum[k]*scale/5)
	}
	return sum, len(found)
}
