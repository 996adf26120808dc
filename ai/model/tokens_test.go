package model_test

import (
	"strings"
	"testing"

	"github.com/durable-go/durable/ai/model"
)

func TestQuarters(t *testing.T) {
	for text, want := range map[string]int{
		"":                        0,
		"four":                    4,
		"Grüße":                   7, // bytes
		"你好世界":                    4 * 4,
		"ひらがなカタカナ":                8 * 4,
		"한국어":                     3 * 4,
		"、。「」":                    4 * 4,
		"Ｗｉｄｅ":                    4 * 4,
		"𠮷":                       4,      // four bytes
		"โลก":                     9,      // Thai: bytes
		"€5":                      4,      // three bytes that are none of these
		"mixed 中文 text":           11 + 8, // 5+1+1+4 bytes and two
		"\xe4\xb8":                2,      // broken off
		"\xe4\xe4\xb8\xad":        1 + 4,
		strings.Repeat("a", 4000): 4000,
	} {
		if got := model.Quarters(text); got != want {
			t.Errorf("%.20q: %d quarters, want %d", text, got, want)
		}
	}
}
