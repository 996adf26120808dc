package tree

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A path is elements joined by "/". An element is a node's name, followed, for
// a way into a node, by a key in brackets: by_type[invoice], agent[2]. Names
// cannot contain the characters that paths are made of; keys are escaped.

// DefaultWay is the key of a branch's default way. A case key that is equal to
// it is escaped, so the two never meet.
const DefaultWay = "*"

// CaseElement is the path element of the way into a case.
func CaseElement(name, key string) string { return name + "[" + Escape(key) + "]" }

// DefaultElement is the path element of the way into a branch's default.
func DefaultElement(name string) string { return name + "[" + DefaultWay + "]" }

// PassElement is the path element of pass i of a loop, from 0.
func PassElement(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

// Join joins a path and an element.
func Join(path, element string) string {
	if path == "" {
		return element
	}
	return path + "/" + element
}

// Under is the path of a node whose sequence is at a path of a run. Most paths are those
// that Place has written down, which costs no new text.
func (n *Node) Under(path string) string {
	if path == "" {
		return n.Name
	}
	if i := len(path); len(n.Place) == i+1+len(n.Name) && n.Place[:i] == path {
		return n.Place
	}
	return path + "/" + n.Name
}

// Element is the path element of the way into a case or lane of n.
func (c *Case) Element(n *Node) string {
	if c.placed(n) {
		return c.Place[len(n.Place)-len(n.Name):]
	}
	return CaseElement(n.Name, c.Key)
}

// Under is the path of the way into a case or lane of n, which is at a path of a run.
func (c *Case) Under(n *Node, path string) string {
	if c.placed(n) && path == n.Place {
		return c.Place
	}
	return path[:len(path)-len(n.Name)] + c.Element(n)
}

// placed tells whether Place knows where n is: nodes that share their cases may not.
func (c *Case) placed(n *Node) bool {
	i := len(n.Place)
	return len(c.Place) > i && c.Place[i] == '[' && c.Place[:i] == n.Place
}

// Split returns the first element of a path and the rest.
func Split(path string) (element, rest string) {
	element, rest, _ = strings.Cut(path, "/")
	return element, rest
}

// Escape writes a key so that it can stand in a path: the characters / [ ] % *
// and control characters become %XX.
func Escape(key string) string {
	clean := true
	for i := range len(key) {
		if special(key[i]) {
			clean = false
			break
		}
	}
	if clean {
		return key
	}
	var b strings.Builder
	for i := range len(key) {
		if c := key[i]; special(c) {
			const hex = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func special(c byte) bool {
	return c == '/' || c == '[' || c == ']' || c == '%' || c == '*' || c < 0x20 || c == 0x7f
}

// NameMistake tells what is wrong with a node's name, "" if nothing.
func NameMistake(name string) string {
	switch {
	case name == "":
		return "the name is empty; give it one"
	case len(name) > MaxName:
		return "the name is longer than " + strconv.Itoa(MaxName) + " bytes; shorten it"
	case !utf8.ValidString(name):
		return "the name is not valid UTF-8"
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:", r) {
			return "the name contains " + strconv.QuoteRune(r) + "; use letters, digits and _ - . :"
		}
	}
	return ""
}

// TextMistake tells what is wrong with a key, tag, queue or event name, "" if
// nothing: they may be any UTF-8 without control characters.
func TextMistake(text string) string {
	switch {
	case text == "":
		return "it is empty"
	case len(text) > MaxName:
		return "it is longer than " + strconv.Itoa(MaxName) + " bytes"
	case !utf8.ValidString(text):
		return "it is not valid UTF-8"
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return "it contains the control character " + strconv.QuoteRune(r)
		}
	}
	return ""
}
