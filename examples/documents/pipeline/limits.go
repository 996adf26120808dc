package pipeline

const maxDigits = 12 // digits before the decimal mark of an amount
