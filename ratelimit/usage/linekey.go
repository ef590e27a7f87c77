package usage

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

// lineKey returns the key of a line in its bucket. Keys sort in the order in which
// lines are billed. The key of a line of another ledger than that of the store, or of
// another form than the first, has both.
func (b *LineStore) lineKey(k Key) []byte {
	names := []string{k.Project, k.Function, k.Region}
	if other := k.Origin.Ledger != "" && k.Origin.Ledger != b.ledger; other || k.Origin.Form > metering.FormHour {
		names = append(names, strconv.Itoa(int(max(k.Origin.Form, metering.FormHour))), cmp.Or(k.Origin.Ledger, b.ledger))
	}
	start := binary.BigEndian.AppendUint64(nil, uint64(k.Start.Unix()))
	return append(start, strings.Join(names, "\x00")...)
}

// pin writes down which ledger keys without one are of.
func (b *LineStore) pin(tx *bbolt.Tx) error {
	if b.pinned {
		return nil
	}
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	return meta.Put(keyLedger, []byte(b.ledger))
}

// isLine reports whether a key in a bucket of lines is that of a line.
func isLine(k []byte) bool { return len(k) > 8 }

// parseLineKey sets what the key of a line in its bucket says. The caller holds mu.
func (b *LineStore) parseLineKey(k []byte, into *Key) error {
	names := strings.Split(string(k[8:]), "\x00")
	into.Origin = metering.Origin{Ledger: b.ledger, Form: metering.FormHour}
	if len(names) == 5 {
		form, err := strconv.ParseUint(names[3], 10, 8)
		if err != nil {
			return fmt.Errorf("the key %x is not that of a line", k)
		}
		into.Origin = metering.Origin{Ledger: names[4], Form: metering.Form(form)}
		names = names[:3]
	}
	if len(names) != 3 || into.Origin.Form > metering.FormPeriod {
		return fmt.Errorf("the key %x is not that of a line: a later build may have written it", k)
	}
	into.Start = time.Unix(int64(binary.BigEndian.Uint64(k)), 0).UTC()
	into.Project, into.Function, into.Region = names[0], names[1], names[2]
	return nil
}

func groupKey(organization, period string) []byte { return []byte(period + "\x00" + organization) }
