package locate

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// fields is a map of an MMDB file; its values are fields, string, float64,
// float32, or an int for a uint32.
type fields map[string]any

// encodeMMDB writes a database of addresses of both kinds, as the
// specification of MaxMind DB 2.0 has it.
func encodeMMDB(entries map[string]fields) []byte {
	const empty = -1
	nodes := [][2]int{{empty, empty}} // below zero-based node numbers; data is ^offset-1
	var data bytes.Buffer
	for prefix, value := range entries {
		p := netip.MustParsePrefix(prefix)
		bits, ip := p.Bits(), p.Addr().As16()
		if p.Addr().Is4() {
			bits += 96
			copy(ip[:12], make([]byte, 12)) // IPv4 lies at ::/96
		}
		leaf := -2 - data.Len()
		encodeValue(&data, value)
		node := 0
		for i := range bits {
			side := ip[i/8] >> (7 - i%8) & 1
			switch next := nodes[node][side]; {
			case i == bits-1:
				nodes[node][side] = leaf
			case next == empty:
				nodes = append(nodes, [2]int{empty, empty})
				nodes[node][side] = len(nodes) - 1
				node = len(nodes) - 1
			default:
				node = next
			}
		}
	}
	var out bytes.Buffer
	for _, node := range nodes {
		for _, next := range node {
			if next == empty {
				next = len(nodes)
			} else if next < empty {
				next = len(nodes) + 16 + (-2 - next)
			}
			out.Write([]byte{byte(next >> 16), byte(next >> 8), byte(next)})
		}
	}
	out.Write(make([]byte, 16))
	out.Write(data.Bytes())
	out.WriteString("\xAB\xCD\xEFMaxMind.com")
	encodeValue(&out, fields{
		"binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1700000000,
		"database_type": "Test", "ip_version": 6, "node_count": len(nodes), "record_size": 24,
	})
	return out.Bytes()
}

func encodeValue(out *bytes.Buffer, value any) {
	control := func(kind, size int) {
		extra := -1
		if size >= 29 {
			size, extra = 29, size-29
		}
		if kind > 7 {
			out.Write([]byte{byte(size), byte(kind - 7)})
		} else {
			out.WriteByte(byte(kind<<5 | size))
		}
		if extra >= 0 {
			out.WriteByte(byte(extra))
		}
	}
	switch v := value.(type) {
	case string:
		control(2, len(v))
		out.WriteString(v)
	case float64:
		control(3, 8)
		_ = binary.Write(out, binary.BigEndian, math.Float64bits(v))
	case float32:
		control(15, 4)
		_ = binary.Write(out, binary.BigEndian, math.Float32bits(v))
	case int:
		control(6, 4)
		_ = binary.Write(out, binary.BigEndian, uint32(v))
	case fields:
		control(7, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			encodeValue(out, key)
			encodeValue(out, v[key])
		}
	}
}

// writeMMDB replaces the file at once, as those who update databases should.
func writeMMDB(t testing.TB, path string, entries map[string]fields) {
	t.Helper()
	writeFile(t, path, encodeMMDB(entries))
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "next")
	if err := os.WriteFile(next, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}
