package metering

// Form says what the ids of lines on bills are made of.
type Form uint8

// The forms. The zero Form counts as FormHour.
const (
	FormHour   Form = 1 // of older builds: ledger, names and hour
	FormPeriod Form = 2 // the billing period too: an hour of two periods has two lines
)

// Origin is where a sum was counted first. The id of its line is made of it: it never
// changes, whatever becomes of the ledger.
type Origin struct {
	Ledger string // the id of the ledger then
	Form   Form
}
