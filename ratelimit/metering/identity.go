package metering

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// identityName is the file with the id of the ledger. The ids of lines on bills are
// derived from it.
const identityName = "ledger.id"

// Identity returns the id of the ledger in a directory: 16 hex digits, created on
// the first call.
func Identity(dir string) (string, error) {
	path := filepath.Join(dir, identityName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", err
		}
		return hex.EncodeToString(b[:]), setIdentity(dir, hex.EncodeToString(b[:]))
	}
	if err != nil {
		return "", fmt.Errorf("reading the id of the ledger: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func setIdentity(dir, id string) error {
	err := ReplaceFile(filepath.Join(dir, identityName), 0o600, func(file *os.File) error {
		_, err := file.WriteString(id + "\n")
		return err
	})
	if err != nil {
		return fmt.Errorf("writing the id of the ledger: %w", err)
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
