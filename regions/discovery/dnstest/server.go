package dnstest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Mode is how the server answers.
type Mode int

const (
	// OK answers with the records of the name, NXDOMAIN if it has none of any type.
	OK Mode = iota
	// ServFail answers SERVFAIL.
	ServFail
	// Refused answers REFUSED.
	Refused
	// Timeout does not answer.
	Timeout
	// NXDomain answers that there is no such name.
	NXDomain
	// Empty answers that the name has no records of the type.
	Empty
	// Garbage answers with bytes that are no DNS message.
	Garbage
)

// SRV is a record of a service.
type SRV struct {
	Target                 string
	Port, Priority, Weight uint16
}

// Server is a name server. Its methods are safe for concurrent use. Names are given
// without regard to case and a dot at their end.
type Server struct {
	// Address is HOST:PORT, the same for UDP and TCP.
	Address string

	mu       sync.Mutex // guards what follows
	hosts    map[string][]netip.Addr
	services map[string][]SRV
	modes    map[key]Mode
	delays   map[string]time.Duration
	queries  map[key]int
	overTCP  map[key]int
	ttl      uint32

	ended chan struct{} // closed when the test ends
}

// key is a name and a type of records, such as A; an empty type stands for all.
type key struct{ name, records string }

// Start starts a server on a free port of loopback, which stops when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		hosts:    make(map[string][]netip.Addr),
		services: make(map[string][]SRV),
		modes:    make(map[key]Mode),
		delays:   make(map[string]time.Duration),
		queries:  make(map[key]int),
		overTCP:  make(map[key]int),
		ended:    make(chan struct{}),
	}
	packets, listener := listen(t)
	s.Address = packets.LocalAddr().String()
	servers := []*dns.Server{
		{PacketConn: packets, Handler: s},
		{Listener: listener, Handler: s},
	}
	var serving sync.WaitGroup
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		serving.Go(func() {
			if err := server.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("name server: %v", err)
			}
		})
		<-started
	}
	t.Cleanup(func() {
		close(s.ended)
		for _, server := range servers {
			if err := server.Shutdown(); err != nil {
				t.Errorf("stopping the name server: %v", err)
			}
		}
		serving.Wait()
	})
	return s
}

// listen finds a port that is free for both protocols.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener
		}
		_ = packets.Close()
		if attempt == 50 {
			t.Fatal(err)
		}
	}
}

// SetHost gives a name A and AAAA records in place of those that it has. Without
// addresses it has none.
func (s *Server) SetHost(name string, addresses ...string) {
	ips := make([]netip.Addr, 0, len(addresses))
	for _, address := range addresses {
		ips = append(ips, netip.MustParseAddr(address))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[canonical(name)] = ips
}

// SetService gives a name SRV records in place of those that it has.
func (s *Server) SetService(name string, records ...SRV) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[canonical(name)] = slices.Clone(records)
}

// SetMode sets how queries for a name are answered: for records of the given types,
// such as AAAA, or of all.
func (s *Server) SetMode(name string, mode Mode, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range oneOrAll(records) {
		s.modes[key{canonical(name), r}] = mode
	}
}

// SetDelay lets answers about a name come late.
func (s *Server) SetDelay(name string, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delays[canonical(name)] = delay
}

// SetTTL sets the time to live of all records in seconds, 0 by default.
func (s *Server) SetTTL(seconds uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ttl = seconds
}

// Queries returns how many queries for a name came: for records of the given types, or
// of all.
func (s *Server) Queries(name string, records ...string) int {
	return s.count(s.queries, name, records)
}

// QueriesOverTCP returns how many of the queries came over TCP.
func (s *Server) QueriesOverTCP(name string, records ...string) int {
	return s.count(s.overTCP, name, records)
}

// AllQueries returns how many queries came for any name.
func (s *Server) AllQueries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for k, n := range s.queries {
		if k.records == "" {
			all += n
		}
	}
	return all
}

func (s *Server) count(counts map[key]int, name string, records []string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range oneOrAll(records) {
		n += counts[key{canonical(name), r}]
	}
	return n
}

func oneOrAll(records []string) []string {
	if len(records) == 0 {
		return []string{""}
	}
	return records
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

// ServeDNS answers a query.
func (s *Server) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 {
		return
	}
	question := query.Question[0]
	name, records := canonical(question.Name), dns.TypeToString[question.Qtype]
	_, overTCP := w.RemoteAddr().(*net.TCPAddr)
	mode, delay := s.record(name, records, overTCP)
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-s.ended:
			return
		}
	}
	answer := new(dns.Msg).SetReply(query)
	answer.Authoritative, answer.RecursionAvailable = true, true
	switch mode {
	case Timeout:
		return
	case Garbage:
		_, _ = w.Write([]byte("this is no DNS message"))
		return
	case ServFail:
		answer.Rcode = dns.RcodeServerFailure
	case Refused:
		answer.Rcode = dns.RcodeRefused
	case NXDomain:
		answer.Rcode = dns.RcodeNameError
	case OK:
		s.fill(answer, name, question.Qtype)
	case Empty:
	}
	if !overTCP {
		size := dns.MinMsgSize
		if edns := query.IsEdns0(); edns != nil {
			size = int(edns.UDPSize())
		}
		answer.Truncate(size)
	}
	_ = w.WriteMsg(answer)
}

// record counts a query and returns how to answer it.
func (s *Server) record(name, records string, overTCP bool) (Mode, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range []key{{name, ""}, {name, records}} {
		s.queries[k]++
		if overTCP {
			s.overTCP[k]++
		}
	}
	mode, ok := s.modes[key{name, records}]
	if !ok || mode == OK {
		mode = s.modes[key{name, ""}]
	}
	return mode, s.delays[name]
}

// fill puts the records of a name into an answer.
func (s *Server) fill(answer *dns.Msg, name string, records uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hosts[name])+len(s.services[name]) == 0 {
		answer.Rcode = dns.RcodeNameError
		return
	}
	header := dns.RR_Header{
		Name:   answer.Question[0].Name,
		Rrtype: records,
		Class:  dns.ClassINET,
		Ttl:    s.ttl,
	}
	for _, ip := range s.hosts[name] {
		switch {
		case records == dns.TypeA && ip.Is4():
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: ip.AsSlice()})
		case records == dns.TypeAAAA && ip.Is6():
			answer.Answer = append(answer.Answer, &dns.AAAA{Hdr: header, AAAA: ip.AsSlice()})
		}
	}
	if records != dns.TypeSRV {
		return
	}
	for _, r := range s.services[name] {
		answer.Answer = append(answer.Answer, &dns.SRV{
			Hdr:      header,
			Target:   dns.Fqdn(r.Target),
			Port:     r.Port,
			Priority: r.Priority,
			Weight:   r.Weight,
		})
	}
}
