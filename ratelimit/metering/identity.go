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
	"strings"

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
	return "", idErr
}

// newIdentity makes an id. A ledger with lines of bills must not get a second one: all
// of them would be sent again, as other lines.
func newIdentity(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "billing.db")); err == nil {
		return "", &durable.DamageError{
			File:   filepath.Join(dir, identityName),
			Offset: -1,
			What:   "it is missing, but there are lines of bills, whose ids are made of it",
		}
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
	id, ok := reply.(string)
	if !ok || id == "" {
		return "", fmt.Errorf("gw:meta: unexpected reply %v", reply)
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
