package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
)

// The body of a row is: one byte version, the facts, four bytes CRC-32C of all
// that comes before. A fact is one byte kind, then fields, then a zero byte. A
// field is one byte tag and its value: an unsigned varint if the tag is odd,
// a length and bytes if it is even. A reader skips tags that it does not know.
const version = 1

const (
	tagAt      = 1
	tagPath    = 2
	tagAttempt = 3
	tagCall    = 4
	tagWhy     = 5
	tagData    = 6
	tagUntil   = 7
	tagErr     = 8
	tagEpoch   = 9
	tagAnswer  = 10
	tagMessage = 11
	tagWait    = 12
	tagEmpty   = 13 // Data is empty but not nil
	tagChild   = 14
	tagNote    = 18
	tagUndo    = 15
	tagLimit   = 21
	tagTopic   = 20
)

// ErrCorrupt means that stored bytes are not what was written.
var ErrCorrupt = errors.New("journal is corrupt")

// ErrVersion means that the bytes were written by a newer version.
var ErrVersion = errors.New("journal was written by a newer version")

// Encode writes facts as the body of a row.
func Encode(facts []Fact) []byte {
	n := 8
	for i := range facts {
		n += 40 + len(facts[i].Path) + len(facts[i].Call) + len(facts[i].Data)
	}
	b := append(make([]byte, 0, n), version)
	for i := range facts {
		b = appendFact(b, &facts[i])
	}
	return seal(b)
}

func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func unseal(b []byte) ([]byte, error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrCorrupt, len(b))
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli()) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: the checksum does not fit", ErrCorrupt)
	}
	if body[0] != version {
		return nil, fmt.Errorf("%w: format %d, this program reads up to %d", ErrVersion, body[0], version)
	}
	return body[1:], nil
}

func appendFact(b []byte, f *Fact) []byte {
	b = append(b, byte(f.Kind))
	b = number(b, tagAt, uint64(f.At))
	b = text(b, tagPath, f.Path)
	b = number(b, tagAttempt, uint64(f.Attempt))
	b = text(b, tagCall, f.Call)
	b = number(b, tagWhy, uint64(f.Why))
	if f.Data != nil && len(f.Data) == 0 {
		b = number(b, tagEmpty, 1)
	}
	b = text(b, tagData, f.Data)
	b = number(b, tagUntil, uint64(f.Until))
	b = number(b, tagEpoch, uint64(f.Epoch))
	b = number(b, tagMessage, uint64(f.Message))
	b = number(b, tagLimit, uint64(f.Limit))
	b = text(b, tagChild, f.Child)
	if f.Undo {
		b = number(b, tagUndo, 1)
	}
	b = text(b, tagTopic, f.Topic)
	if f.Err != nil {
		b = object(b, tagErr, f.Err)
	}
	if f.Answer != nil {
		b = object(b, tagAnswer, f.Answer)
	}
	if f.Wait != nil {
		b = object(b, tagWait, f.Wait)
	}
	if f.Note != nil {
		b = object(b, tagNote, f.Note)
	}
	return append(b, 0)
}

func number(b []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, tag), v)
}

func text[T string | []byte](b []byte, tag byte, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(v)))
	return append(b, v...)
}

func object(b []byte, tag byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic("journal: a fact of plain data does not encode: " + err.Error())
	}
	return text(b, tag, j)
}

// Decode reads the body of a row.
func Decode(body []byte) ([]Fact, error) {
	b, err := unseal(body)
	if err != nil {
		return nil, err
	}
	n, err := countFacts(b)
	if err != nil {
		return nil, err
	}
	facts := make([]Fact, n)
	for i := range facts {
		if b, err = readFact(b, &facts[i]); err != nil {
			return nil, err
		}
	}
	return facts, nil
}

// A fact as engines write it takes at least minFact bytes: kind, time, path or
// data, end. A row of many smaller ones is hostile, and would make a small row
// a large allocation. A few may be that small.
const (
	minFact    = 14
	smallFacts = 64
)

// countFacts counts the facts of a row without keeping any.
func countFacts(b []byte) (n int, err error) {
	limit := smallFacts + len(b)/minFact
	for len(b) > 0 {
		if n++; n > limit {
			return 0, fmt.Errorf("%w: more than %d facts in %d bytes", ErrCorrupt, limit, len(b))
		}
		for b = b[1:]; len(b) > 0 && b[0] != 0; {
			if _, _, _, b, err = readField(b); err != nil {
				return 0, err
			}
		}
		if len(b) == 0 {
			return 0, fmt.Errorf("%w: a fact has no end", ErrCorrupt)
		}
		b = b[1:]
	}
	return n, nil
}

// readField reads a tag and its value: a number, or bytes.
func readField(b []byte) (tag byte, v uint64, data, rest []byte, err error) {
	tag = b[0]
	v, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return 0, 0, nil, nil, fmt.Errorf("%w: bad number in field %d", ErrCorrupt, tag)
	}
	b = b[1+n:]
	if tag%2 == 0 {
		if v > uint64(len(b)) {
			return 0, 0, nil, nil, fmt.Errorf("%w: field %d is longer than the row", ErrCorrupt, tag)
		}
		data, b = b[:v:v], b[v:]
	}
	return tag, v, data, b, nil
}

func readFact(b []byte, f *Fact) ([]byte, error) {
	f.Kind = Kind(b[0])
	if !f.Kind.known() {
		return nil, fmt.Errorf("%w: fact kind %d is unknown to this program", ErrVersion, f.Kind)
	}
	b = b[1:]
	for len(b) > 0 && b[0] != 0 {
		tag, v, data, rest, err := readField(b)
		if err != nil {
			return nil, err
		}
		if err := f.set(tag, v, data); err != nil {
			return nil, err
		}
		b = rest
	}
	return b[1:], nil // countFacts found the end
}

func (f *Fact) set(tag byte, v uint64, data []byte) error {
	var err error
	switch tag {
	case tagAt:
		f.At = int64(v)
	case tagPath:
		f.Path = string(data)
	case tagAttempt:
		f.Attempt = int(v)
	case tagCall:
		f.Call = string(data)
	case tagWhy:
		if v > uint64(ByAsking) {
			return fmt.Errorf("%w: reason %d is unknown to this program", ErrVersion, v)
		}
		f.Why = Why(v)
	case tagData:
		f.Data = data
	case tagChild:
		f.Child = string(data)
	case tagEmpty:
		f.Data = []byte{}
	case tagUntil:
		f.Until = int64(v)
	case tagEpoch:
		f.Epoch = int64(v)
	case tagLimit:
		f.Limit = int64(v)
	case tagMessage:
		f.Message = int64(v)
	case tagUndo:
		f.Undo = v != 0
	case tagTopic:
		f.Topic = string(data)
	case tagErr:
		err = json.Unmarshal(data, &f.Err)
	case tagAnswer:
		err = json.Unmarshal(data, &f.Answer)
	case tagWait:
		err = json.Unmarshal(data, &f.Wait)
	case tagNote:
		err = json.Unmarshal(data, &f.Note)
	}
	if err != nil {
		return fmt.Errorf("%w: field %d: %w", ErrCorrupt, tag, err)
	}
	if f.Answer != nil && f.Answer.Way > WaySkip {
		return fmt.Errorf("%w: way %d is unknown to this program", ErrVersion, f.Answer.Way)
	}
	return nil
}
