package main

import (
	"encoding/binary"
	"slices"
	"testing"
)

func message(kind byte, size int) []byte {
	var m []byte
	if kind != 0 {
		m = append(m, kind)
	}
	m = binary.BigEndian.AppendUint32(m, uint32(size+4))
	return append(m, make([]byte, size)...)
}

// Statements are counted wherever the stream of messages is cut, and bytes
// within a message are none.
func TestWireCountsStatementsHoweverCut(t *testing.T) {
	quoted := message('B', 40) // a parameter that looks like a message
	copy(quoted[9:], message('Q', 4))
	stream := slices.Concat(
		message(0, 60),                     // startup
		message('p', 12), message('Q', 30), // password, begin
		message('P', 99), message('B', 0), message('E', 5), message('B', 7), message('E', 5), message('S', 0),
		quoted, message('X', 0),
	)
	for size := 1; size <= len(stream); size++ {
		c := &wireConn{wire: &wire{}, bare: true}
		for part := range slices.Chunk(stream, size) {
			c.parse(part)
		}
		if got := c.wire.statements.Load(); got != 3 {
			t.Fatalf("in pieces of %d bytes: %d statements, want 3", size, got)
		}
	}
}
