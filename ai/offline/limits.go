package offline

// Limits on what one document may cost. The text comes from outside, so each loop over it
// has a bound; beyond a bound text is ignored, never an error. All scans are linear in
// the text or quadratic in a number bounded here.
const (
	maxText    = 1 << 20 // bytes read of a document: five times the largest contract seen
	maxLines   = 20_000  // lines read; 1 MiB of ordinary lines
	maxLine    = 1_000   // bytes read of one line when looking for fields; tables are narrower
	maxItems   = 500     // rows kept of an invoice
	maxNumbers = 10      // numbers looked at in one row; pairs of them are multiplied
	maxField   = 200     // bytes of a name, title or description
	maxDigits  = 12      // digits before the decimal mark
	maxPrelude = 6_000   // bytes of a contract in which the parties are looked for
	maxReasons = 6       // reasons given with a classification
	headLines  = 12      // non-empty lines that count as the head of a document
	maxWords   = 20_000  // distinct words counted
)
