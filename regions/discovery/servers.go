package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"
)

// avoidFor is how long a name server that failed is not asked while another can be.
const avoidFor = 10 * time.Second

// servers are name servers to ask in turn. Those that failed are asked last: a query
// that failed at one is asked anew at another one.
type servers struct {
	mu   sync.Mutex // guards the fields below
	all  []*server
	next int
}

// trouble is how a name server failed.
type trouble int

const (
	noTrouble trouble = iota
	badAnswer         // such as SERVFAIL, which may be about one name only
	noAnswer          // it is silent, or cannot be connected to
)

// server is one name server.
type server struct {
	address string
	trouble trouble
	at      time.Time // of the trouble
}

func newServers(addresses []string) *servers {
	if len(addresses) == 0 {
		return nil
	}
	s := &servers{next: rand.IntN(len(addresses))} //nolint:gosec // G404: it spreads the load, nothing is secret
	for _, address := range addresses {
		s.all = append(s.all, &server{address: address})
	}
	return s
}

// pick returns the server for a query: the next one of those without trouble; without
// any the one whose trouble is the least, and of these the oldest.
func (s *servers) pick(now time.Time) *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *server
	for i := range s.all {
		one := s.all[(s.next+i)%len(s.all)]
		if one.trouble != noTrouble && now.Sub(one.at) > avoidFor {
			// This query finds out whether it works again; the others go elsewhere.
			one.at = now
			best = one
			break
		}
		if best == nil || one.trouble < best.trouble || one.trouble == best.trouble && one.at.Before(best.at) {
			best = one
		}
	}
	s.next = (s.next + 1) % len(s.all)
	return best
}

// report records how a query to a server went.
func (s *servers) report(one *server, now time.Time, t trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.trouble, one.at = t, now
	if t == noTrouble {
		one.at = time.Time{} // servers that work are alike
	}
}

// query is one query to one server.
type query struct {
	servers *servers
	server  *server         // nil if it is one of the system, of which nothing is recorded
	ctx     context.Context //nolint:containedctx // of the query
	started time.Time
	start   [2 + headerSize]byte // of the answer in a stream
	read    int                  // bytes of start
}

// failed records that there was no answer, unless the look-up ended before.
func (q *query) failed(err error) {
	if q.server == nil || q.ctx.Err() != nil {
		return
	}
	if now := time.Now(); !errors.Is(err, os.ErrDeadlineExceeded) || now.Sub(q.started) >= exchangeTimeout {
		q.servers.report(q.server, now, noAnswer)
	}
}

// headerSize is that of an answer's header in bytes.
const headerSize = 12

// answeredPacket records the code of an answer in a packet.
func (q *query) answeredPacket(packet []byte) {
	if len(packet) >= headerSize {
		q.answered(packet[2], packet[3])
	}
}

// answeredStream records the code of an answer of which the next bytes came. Two bytes
// with its length precede it.
func (q *query) answeredStream(bytes []byte) {
	before := q.read
	q.read += copy(q.start[q.read:], bytes)
	if before < len(q.start) && q.read == len(q.start) {
		q.answered(q.start[4], q.start[5])
	}
}

// answered records the code of an answer. The bytes are the third and fourth of its
// header: the first bit tells answers from queries, the last four are the code.
func (q *query) answered(flags, code byte) {
	if q.server == nil {
		return
	}
	const isAnswer, codeBits, success, noSuchName = 0x80, 0x0f, 0, 3
	t := badAnswer
	if code &= codeBits; flags&isAnswer != 0 && (code == success || code == noSuchName) {
		t = noTrouble
	}
	q.servers.report(q.server, time.Now(), t)
}

// network returns how and where a server is asked. A query that does not fit into a
// packet is asked over TCP by itself.
func (s *server) network(network string) (string, string) {
	if rest, ok := strings.CutPrefix(s.address, "tcp/"); ok {
		return "tcp", rest
	}
	return network, s.address
}
