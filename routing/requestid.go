package routing

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// NewRequestID returns a UUIDv7 (RFC 9562, section 5.7) for the instant now.
// Its 74 random bits come from the runtime's ChaCha8 generator, which needs no
// lock and no system call.
func NewRequestID(now time.Time) string {
	var id [16]byte
	high, low := rand.Uint64(), rand.Uint64() //nolint:gosec // seeded by the system, and the id is no secret
	binary.BigEndian.PutUint64(id[0:8], uint64(now.UnixMilli())<<16|high&0x0fff|0x7000)
	binary.BigEndian.PutUint64(id[8:16], low&0x3fff_ffff_ffff_ffff|0x8000_0000_0000_0000)
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
