//go:build !fail

package fail

// On tells whether the points are there.
const On = false

// Point may end, stop, delay or panic here, if the environment says so.
func Point(Label) {}

// Err is Point, and may also return ErrInjected.
func Err(Label) error { return nil }
