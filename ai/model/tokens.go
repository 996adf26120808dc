package model

import "unicode/utf8"

// Quarters estimates how many tokens a text is, in quarters of a token: one for each byte, as goes for English, but four for each
// Chinese, Japanese or Korean character, whose three bytes would count as too little. It is a rule of thumb: tokenizers differ by half
// and by double, and what a call has really used replaces it.
func Quarters(text string) int {
	n := len(text)
	for i := 0; i < len(text); i++ {
		if b := text[i]; b >= 0xE1 && b <= 0xEF { // begins three bytes
			if r, size := utf8.DecodeRuneInString(text[i:]); size == 3 {
				if eastAsian(r) {
					n++
				}
				i += 2
			}
		}
	}
	return n
}

// eastAsian says whether a rune of three bytes is one of the scripts that are written without spaces between words, or in syllables:
// kana, Hangul, ideographs, and their punctuation and wide forms.
func eastAsian(r rune) bool {
	switch {
	case r >= 0x2E80 && r <= 0x9FFF, r >= 0xAC00 && r <= 0xD7FF, r >= 0x1100 && r <= 0x11FF, r >= 0xF900 && r <= 0xFAFF,
		r >= 0xA960 && r <= 0xA97F, r >= 0xFE30 && r <= 0xFE4F, r >= 0xFF00 && r <= 0xFFEF:
		return true
	}
	return false
}
