package model

const (
	maxDigits = 12    // digits before the decimal mark
	maxRecall = 4_096 // texts whose attempts Flaky remembers
)
