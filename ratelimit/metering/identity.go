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
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	id := hex.EncodeToString(b[:])
	return id, setIdentity(dir, id)
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
