//go:build e2e

package billing

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"pgregory.net/rapid"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
	"github.com/edgegate/edgegate/ratelimit/usage/fakesinks"
)

// kill ends a gateway as a crash does: calls under way have no end, Redis hears nothing, and what is on the disk is as it was. A
// copy of its directory is that of the next process; what remains of this one goes on elsewhere until it has ended.
func (h *history) kill() {
	m := h.any()
	for range rapid.IntRange(0, 2).Draw(h.t, "calls under way") {
		h.begin(m)
	}
	o := m.opened.Load()
	o.cancel()
	o.exports.pause() // for good
	s := o.shared.Load()
	if s != nil {
		s.cancel()
		h.must(s.conn.Close())
	}
	o.background.Wait()
	h.kills++
	dir := m.dir + "k"
	h.again(func() error { return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(m.dir))) }) // a file may be replaced meanwhile
	h.must(asOriginal(dir))
	over, cancel := context.WithCancel(h.ctx)
	cancel()
	o.quotas.Close(over)
	if s != nil {
		_ = s.mirror.Close(over)
	}
	_ = o.ledger.Close()
	h.must(os.RemoveAll(m.dir))
	m.dir, m.Engine = dir, nil
	if rapid.Bool().Draw(h.t, "starts again at once") {
		h.open(m)
	}
}

// begin makes a call that does not end.
func (h *history) begin(m *member) {
	id := payers[0]
	d, allowance := h.dispatch(m, id), h.configs[m.configured].allowance(id)
	r := m.Receive()
	h.must(r.Take(h.ctx, id, &allowance))
	h.must(r.Send(&d))
	h.used = append(h.used, use{id, d.Slug, d.Subject.Cycle.At(h.now()).ID, h.now(), 1})
}

// empty has Redis lose everything. Only Redis has the sums of ledgers that were lost: they would be lost for ever.
func (h *history) empty() {
	if h.losses > 0 {
		return
	}
	h.server.Exec("FLUSHALL")
	h.forgot = true
	h.did("emptied")
}

// save makes a copy of what Redis has.
func (h *history) save() {
	h.server.Exec("SAVE")
	text, err := os.ReadFile(filepath.Join(h.server.Dir(), "dump.rdb"))
	h.must(err)
	h.copy, h.copied = text, h.losses
}

// restore replaces Redis by one with an earlier copy of its data. No turn to send changes within the minute until each gateway had
// a round, in which it finds out that its mark is an earlier one.
func (h *history) restore() {
	if h.copy == nil || h.copied != h.losses {
		return
	}
	h.server.Stop()
	h.must(os.WriteFile(filepath.Join(h.server.Dir(), "dump.rdb"), h.copy, 0o600))
	h.server.Start()
	h.join(h.running())
	h.forgot = true
	h.did("restored")
}

// join has gateways bring what they told into the store, as in each round.
func (h *history) join(all []*member) {
	h.t.Helper()
	for _, m := range all {
		if s := m.Shared(); s != nil {
			h.again(func() error { return s.joiner.Join(h.ctx, time.Time{}) })
		}
	}
}

// replaceBills has a gateway go on with the copy of its billing.db, or without one. Redis has the terms that are lost with it.
func (h *history) replaceBills() {
	m := h.any()
	if m.alone {
		return
	}
	older := rapid.Bool().Draw(h.t, "an older copy")
	if older && m.bills == nil {
		h.stop(m)
		h.open(m)
		h.forward(70 * time.Minute)
	}
	h.forward(3 * time.Minute)
	was := m.bills
	h.stop(m)
	path := filepath.Join(m.dir, "billing.db")
	if older {
		h.must(os.WriteFile(path, was, 0o600))
		h.did("bills: an older copy")
	} else {
		h.must(os.Remove(path))
		_, err := metering.Recover(m.dir)
		h.must(err)
		h.did("bills: begun anew")
	}
	m.begun++
	h.open(m)
}

// diskFaults are the kinds of what disks does.
var diskFaults = []string{"no directory", "half a line", "half a file", "no cursor", "no line"}

// disks has files be as a full disk, or the end of a process, leaves them.
func (h *history) disks() {
	m := h.any()
	f := m.files[scattered(h.t, "file sink", len(m.files))].(*usage.Files)
	manifest := filepath.Join(f.Dir, "manifest.jsonl")
	text := h.manifest(f)
	if len(text) == 0 { // nothing was final yet
		h.forward(70 * time.Minute)
		if text = h.manifest(f); len(text) == 0 {
			return
		}
	}
	last := text[bytes.LastIndexByte(text[:len(text)-1], '\n')+1:]
	kind := diskFaults[scattered(h.t, "fault of the disk", len(diskFaults))]
	switch kind {
	case "no directory": // until unblock
		h.must(os.Rename(f.Dir, f.Dir+".away"))
		h.must(os.WriteFile(f.Dir, nil, 0o600))
	case "half a line":
		h.must(os.WriteFile(manifest, append(text, `{"file":"usage-0000`...), 0o600))
	case "half a file": // the process ended in durable.Replace
		h.must(os.WriteFile(filepath.Join(f.Dir, ".usage-000000009999."+string(f.Format)), []byte("schema,led"), 0o600))
	case "no cursor": // the process ended after the manifest was written
		h.rewind(m, f, last)
	case "no line": // the process ended after the file was written
		h.rewind(m, f, last)
		h.must(os.WriteFile(manifest, text[:len(text)-len(last)], 0o600))
	}
	h.did("disk: " + kind)
}

// rewind sets the cursor of a file sink to where it was before its last delivery. It counts the changes of billing.db, not those of
// the directory. A billing.db that was replaced since has a cursor of its own.
func (h *history) rewind(m *member, f *usage.Files, last []byte) {
	lines := m.opened.Load().lines
	id, err := lines.ID()
	h.must(err)
	if d := delivered(h.t, last); d.Billing == id {
		h.must(lines.SetCursor(f.Name(), d.Upto-(d.To-d.From)-1))
	}
}

// unblock has all disks work again.
func (h *history) unblock() {
	for _, m := range h.members {
		for _, s := range m.files {
			dir := s.(*usage.Files).Dir
			if _, err := os.Stat(dir + ".away"); err != nil {
				continue
			}
			h.must(os.Remove(dir))
			h.must(os.Rename(dir+".away", dir))
		}
	}
}

// faulty has services fail at random.
func (h *history) faulty() {
	for _, f := range h.services() {
		f.Schedule(rapid.Uint64().Draw(h.t, "faults"), rapid.SampledFrom([]float64{0, 0.2, 0.5}).Draw(h.t, "rate"))
	}
}

// services are those that may fail.
func (h *history) services() []*fakesinks.Faults {
	return []*fakesinks.Faults{&h.stripe.Faults, &h.hourly.Faults, &h.web.Faults}
}

// limit sets a hard quota, or removes what was set.
func (h *history) limit() {
	m := h.any()
	order := QuotaOrder{Organization: payers[1]}
	if n := rapid.SampledFrom([]int64{-1, 0, 5, 12, 40}).Draw(h.t, "limit"); n >= 0 {
		order.Limit = &n
		if !h.alone() {
			h.highest = max(h.highest, n)
		}
	}
	h.again(func() error {
		_, err := m.SetQuota(h.ctx, order)
		return err
	})
}
