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

// identityName is the file with the id of the ledger that the logs in a
// directory are part of: lines of bills are named by it.
const identityName = "ledger.id"

// Identity returns the id of the ledger in a directory, a new one the first
// time.
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
		return "", fmt.Errorf("the id of the ledger: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func setIdentity(dir, id string) error {
	path := filepath.Join(dir, identityName)
	err := os.WriteFile(path+".new", []byte(id+"\n"), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("the id of the ledger: %w", err)
	}
	return nil
}

//go:embed identity.lua
var identityText string

var identityScript = redisconn.NewScript(identityText)

// Identity returns the id of the ledger that all gateways with this Redis share:
// that of the directory where it has none yet. It becomes the directory's.
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
		return "", fmt.Errorf("gw:meta: it answered %v", reply)
	}
	if id != own {
		err = setIdentity(dir, id)
	}
	return id, err
}
