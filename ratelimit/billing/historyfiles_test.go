//go:build e2e

package billing

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

// listed is a line of the manifest of a file sink.
type listed struct {
	File             string
	From, To         uint64 // changes, as the directory counts them
	SHA256, Previous string
	Billing          string // the id of its billing.db
	Upto             uint64 // the last change, as that counts them
}

func delivered(t *rapid.T, line []byte) (l listed) {
	if err := json.Unmarshal(line, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// checkFiles compares what the files of a gateway add up to with what organizations are billed.
func (h *history) checkFiles(i int, m *member, total map[string]*totals) {
	h.t.Helper()
	for _, s := range m.files {
		f := s.(*usage.Files)
		read := make(map[string]*totals)
		for _, id := range payers {
			read[id] = new(totals)
		}
		latest := make(map[string]usage.Line)
		h.files(f, func(text []byte) {
			if f.Format == usage.FOCUS {
				h.focus(text, read)
				return
			}
			for line := range bytes.Lines(text) {
				var l usage.Line
				h.must(json.Unmarshal(line, &l))
				if is := latest[l.LineID]; is.Revision == l.Revision && is.SHA256 != l.SHA256 {
					h.t.Errorf("gateway %d: the files have %+v and %+v", i, is, l)
				}
				if l.Revision >= latest[l.LineID].Revision {
					latest[l.LineID] = l
				}
			}
		})
		for _, l := range latest {
			read[l.AccountID].add(l.Quantity, l.AmountMinor, l.Currency)
		}
		for id, of := range read {
			for currency := range total[id].minor {
				if of.units != total[id].units || of.minor[currency] != total[id].minor[currency] {
					h.t.Errorf("gateway %d: the %s files have %+v of %s, billed are %+v", i, f.Format, of, id, total[id])
				}
			}
		}
	}
}

// manifest is that of a file sink, without half a line at its end.
func (h *history) manifest(f *usage.Files) []byte {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.Dir, "manifest.jsonl"))
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		h.must(err)
	}
	return text[:bytes.LastIndexByte(text, '\n')+1]
}

// files calls visit with each file of a sink, which has to be as the manifest says.
func (h *history) files(f *usage.Files, visit func(text []byte)) {
	h.t.Helper()
	var last listed
	for line := range bytes.Lines(h.manifest(f)) {
		l := delivered(h.t, line)
		if l.From != last.To+1 || l.Previous != last.SHA256 {
			h.t.Errorf("%s: %+v follows %+v", f.Dir, l, last)
		}
		last = l
		text, err := os.ReadFile(filepath.Join(f.Dir, l.File))
		h.must(err)
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != l.SHA256 {
			h.t.Errorf("%s/%s is not what the manifest says", f.Dir, l.File)
		}
		visit(text)
	}
}

// focus adds up the rows of a FOCUS file.
func (h *history) focus(text []byte, read map[string]*totals) {
	h.t.Helper()
	rows := csv.NewReader(bufio.NewReader(bytes.NewReader(text)))
	head, err := rows.Read()
	h.must(err)
	column := func(row []string, name string) string { return row[slices.Index(head, name)] }
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return
		}
		h.must(err)
		units, err := strconv.ParseInt(column(row, "ConsumedQuantity"), 10, 64)
		h.must(err)
		cost, err := strconv.ParseFloat(strings.TrimSpace(column(row, "BilledCost")), 64)
		h.must(err)
		cents := int64(cost*100 + 0.5)
		if cost < 0 {
			cents = int64(cost*100 - 0.5)
		}
		read[column(row, "BillingAccountId")].add(units, cents, column(row, "BillingCurrency"))
	}
}
