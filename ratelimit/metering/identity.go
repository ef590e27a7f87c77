package metering

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

const (
	// identityName is the file with the id of the ledger. The ids of lines on bills are
	// derived from it.
	identityName = "ledger.id"
	// identityCopyName is a file with the same id and its checksum: where the two differ,
	// this one is right.
	identityCopyName = "ledger.id.copy"
)

// Identity returns the id of the ledger in a directory: 16 hex digits, created on
// the first call. A file that is missing or damaged is restored from its copy.
func Identity(dir string) (string, error) {
	id, idErr := readIdentity(dir)
	kept, copyErr := readIdentityCopy(dir)
	switch {
	case copyErr == nil && id == kept:
		return id, nil
	case copyErr == nil:
		return kept, setIdentity(dir, kept)
	case idErr == nil: // also from before there was a copy
		return id, setIdentity(dir, id)
	case errors.Is(idErr, fs.ErrNotExist) && errors.Is(copyErr, fs.ErrNotExist):
		return newIdentity(dir)
	}
	return "", noIdentity(dir, idErr)
}

// noIdentity is the error of a ledger whose id nobody can read any more. It names what
// has it still.
func noIdentity(dir string, err error) error {
	what := "it is missing"
	if damage := (*durable.DamageError)(nil); errors.As(err, &damage) {
		what = damage.What
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &durable.DamageError{
		File:   filepath.Join(dir, identityName),
		Offset: -1,
		What:   what + ", and neither is " + identityCopyName + " whole",
		Remedy: "write the id into " + identityName + ": with a store in Redis, `HGET gw:meta ledger` answers it; otherwise restore both files from a copy",
	}
}

// inspectIdentity looks at ledger.id and its copy.
func inspectIdentity(dir string, mend bool) []Finding {
	id, idErr := readIdentity(dir)
	kept, copyErr := readIdentityCopy(dir)
	_, billed := os.Stat(filepath.Join(dir, "billing.db"))
	f := Finding{
		File:   filepath.Join(dir, identityName),
		Offset: -1,
		Remedy: "it is restored from ledger.id.copy when the gateway starts",
		done:   "it was restored from ledger.id.copy",
	}
	switch {
	case copyErr == nil && idErr != nil:
		f.What = whatIsWrong(idErr)
	case copyErr == nil && id != kept:
		f.What = fmt.Sprintf("it is %s, and its copy is %s", id, kept)
	case copyErr == nil, idErr == nil && errors.Is(copyErr, fs.ErrNotExist):
		return nil
	case errors.Is(idErr, fs.ErrNotExist) && errors.Is(copyErr, fs.ErrNotExist) && billed != nil:
		return nil // the gateway makes one when it starts
	case idErr == nil:
		f.File, f.What = filepath.Join(dir, identityCopyName), whatIsWrong(copyErr)
		f.Remedy, f.done = "it is made again of ledger.id when the gateway starts", "it was made again of ledger.id"
	default:
		err := noIdentity(dir, idErr)
		f.What, f.Remedy = whatIsWrong(err), "restore it"
		if damage := (*durable.DamageError)(nil); errors.As(err, &damage) {
			f.Remedy = damage.Remedy
		}
		return []Finding{f}
	}
	if mend {
		if _, err := Identity(dir); err != nil {
			f.Remedy = err.Error()
		} else {
			f = f.mended()
		}
	}
	return []Finding{f}
}

// whatIsWrong is the text of an error about a file whose path is named beside it.
func whatIsWrong(err error) string {
	if damage := (*durable.DamageError)(nil); errors.As(err, &damage) {
		return damage.What
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "it is missing"
	}
	return err.Error()
}

// NoLedgerError says that a directory is not that of a ledger.
type NoLedgerError struct {
	Dir   string
	Right []string // directories above or below it that are
}

// Error implements error.
func (*NoLedgerError) Error() string { return "there is no ledger in it" }

// checkLedger returns a NoLedgerError for a directory in which no gateway ever had one.
func checkLedger(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if isLedger(dir) {
		return nil
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	no := &NoLedgerError{Dir: dir}
	for above := filepath.Dir(absolute); ; above = filepath.Dir(above) {
		if isLedger(above) {
			no.Right = append(no.Right, above)
			break
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	for _, below := range []string{"*", filepath.Join("*", "*")} {
		paths, _ := filepath.Glob(filepath.Join(dir, below)) // a path with a wildcard in it finds none
		for _, path := range paths {
			if isLedger(path) {
				no.Right = append(no.Right, path)
			}
		}
	}
	return no
}

// isLedger reports whether a directory has one of the files that only a ledger has.
func isLedger(dir string) bool {
	if info, err := os.Stat(filepath.Join(dir, "inst")); err == nil && info.IsDir() {
		return true
	}
	for _, name := range append([]string{identityName, identityCopyName}, databases...) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// newIdentity makes an id. A ledger with lines of bills must not get a second one: all
// of them would be sent again, as other lines.
func newIdentity(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "billing.db")); err == nil {
		return "", noIdentity(dir, fs.ErrNotExist)
	}
	id, err := randomIdentity()
	if err != nil {
		return "", err
	}
	return id, setIdentity(dir, id)
}

func randomIdentity() (string, error) {
	var b [8]byte
	_, err := rand.Read(b[:])
	return hex.EncodeToString(b[:]), err
}

func readIdentity(dir string) (string, error) {
	path := filepath.Join(dir, identityName)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the id of the ledger: %w", err)
	}
	id := strings.TrimSpace(string(text))
	if !isIdentity(id) {
		return "", &durable.DamageError{File: path, What: "it is not the id of a ledger, 16 hexadecimal digits"}
	}
	return id, nil
}

// readIdentityCopy reads the id and its checksum.
func readIdentityCopy(dir string) (string, error) {
	path := filepath.Join(dir, identityCopyName)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the copy of the id of the ledger: %w", err)
	}
	id, _, _ := strings.Cut(string(text), " ")
	if !isIdentity(id) || string(text) != identityCopy(id) {
		return "", &durable.DamageError{File: path, What: "it is not the id of a ledger and its checksum"}
	}
	return id, nil
}

func identityCopy(id string) string {
	return fmt.Sprintf("%s %08x\n", id, crc32.Checksum([]byte(id), castagnoli))
}

func isIdentity(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 8 && strings.ToLower(id) == id
}

// setIdentity writes the copy first: after a crash in between, it is the one that
// counts.
func setIdentity(dir, id string) error {
	for _, file := range [][2]string{{identityCopyName, identityCopy(id)}, {identityName, id + "\n"}} {
		err := durable.Replace(filepath.Join(dir, file[0]), 0o600, func(f *os.File) error {
			_, err := f.WriteString(file[1])
			return err
		})
		if err != nil {
			return fmt.Errorf("writing the id of the ledger: %w", err)
		}
	}
	return nil
}

//go:embed identity.lua
var identityText string

var identityScript = redisconn.NewScript(identityText)

// youngFor is how long after it was begun, or emptied, a Redis may lack sums of gateways
// that run: they send all again within ten seconds.
const youngFor = 15 * time.Second

// noteYoung notes that Redis was begun, or emptied, so long ago.
func (m *Mirror) noteYoung(age time.Duration) {
	m.young.Store(m.ledger.Now().Add(youngFor - age).UnixMicro())
}

// Young reports whether Redis was begun or emptied a moment ago, so that other gateways may
// not have sent their sums again.
func (m *Mirror) Young() bool { return m.ledger.Now().UnixMicro() < m.young.Load() }

// Identity returns the id of the ledger that all gateways of this Redis share. If
// Redis has none, it takes that of the directory; otherwise the directory takes
// that of Redis.
func (m *Mirror) Identity(ctx context.Context, dir string) (string, error) {
	own, err := Identity(dir)
	if err != nil {
		return "", err
	}
	reply, err := m.conn.Run(ctx, identityScript, "gw:meta", own)
	if err != nil {
		return "", err
	}
	var id string
	age := int64(-1)
	if list, _ := reply.([]any); len(list) == 2 {
		id, _ = list[0].(string)
		text, _ := list[1].(string)
		age, err = strconv.ParseInt(text, 10, 64)
	}
	if id == "" || err != nil {
		return "", fmt.Errorf("gw:meta: unexpected reply %v", reply)
	}
	if age >= 0 {
		m.noteYoung(time.Duration(age) * time.Microsecond)
	}
	if id != own {
		err = setIdentity(dir, id)
	}
	return id, err
}

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

// setOrigin sets the origin of what is counted from now on.
func (l *Ledger) setOrigin(o Origin) {
	if d := l.own.dictionary; d.origin.Load() == nil || *d.origin.Load() != o {
		d.origin.Store(&o)
	}
}

// Origin returns the origin of what is counted now.
func (l *Ledger) Origin() Origin { return *l.own.dictionary.origin.Load() }

// sharedName is a file with the id of the ledger that this directory shares with
// others in Redis. Without it the directory is alone.
const sharedName = "ledger.shared"

// share has what is counted from now on be of a ledger that gateways share.
func (l *Ledger) share(o Origin) error {
	path := filepath.Join(l.config.Dir, sharedName)
	if text, err := os.ReadFile(path); err != nil || string(text) != o.Ledger+"\n" {
		err := durable.Replace(path, 0o600, func(file *os.File) error {
			_, err := file.WriteString(o.Ledger + "\n")
			return err
		})
		if err != nil {
			return fmt.Errorf("writing that the ledger is shared: %w", err)
		}
	}
	l.setOrigin(o)
	return nil
}

// Leave has what is counted from now on be of a ledger of this directory alone, with a
// new id if the one before is shared: the others go on with it, and lines of both must
// not be taken for each other.
func (l *Ledger) Leave() error {
	path := filepath.Join(l.config.Dir, sharedName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	id, err := randomIdentity()
	if err == nil {
		err = setIdentity(l.config.Dir, id)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("leaving the shared ledger: %w", err)
	}
	l.setOrigin(Origin{id, FormPeriod})
	return nil
}
