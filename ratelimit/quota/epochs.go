package quota

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// errEpochChanged says that claims were not settled by one server: another took its place
// meanwhile, and does not know of all.
var errEpochChanged = fmt.Errorf("%w: another server took its place", ErrUnavailable)

// noEpoch is no epoch.
const noEpoch = "-"

// settledIn are the epochs in which claims were settled, by shard.
type settledEpochs map[int]string

// note takes in that of a claim.
func (s settledEpochs) note(shard int, epoch string) error {
	if before, ok := s[shard]; ok && before != epoch {
		return errEpochChanged
	}
	s[shard] = epoch
	return nil
}

// epochs are those that this process has joined, by shard.
type epochs struct {
	mu      sync.Mutex // guards all
	joined  map[int]string
	joining map[int]bool
	seen    map[int]string // the latest that was heard of
}

func newEpochs() *epochs {
	return &epochs{joined: make(map[int]string), joining: make(map[int]bool), seen: make(map[int]string)}
}

// later reports whether an epoch came after another. A server that was replaced
// may go on answering for a while: there is no way back to it.
func later(epoch, than string) bool { return numberOf(epoch) > numberOf(than) }

// numberOf is what grows of an epoch; 0 of none.
func numberOf(epoch string) uint64 {
	text, _, _ := strings.Cut(epoch, ":")
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// in reports whether an epoch is the one that was joined. None is once a later one
// was heard of, or while one is joined: what the one before grants from then on
// would not be said to the other.
func (e *epochs) in(shard int, epoch string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.joined[shard] == epoch && !e.joining[shard] && !later(e.seen[shard], epoch)
}

// begin reports whether an epoch is new and nobody is joining it.
func (e *epochs) begin(shard int, epoch string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := epoch
	if epoch == "" { // a server that has none yet: it will be a later one
		heard = strconv.FormatUint(numberOf(e.joined[shard])+1, 10)
	}
	if later(heard, e.seen[shard]) {
		e.seen[shard] = heard
	}
	if epoch != "" && !later(epoch, e.joined[shard]) || e.joining[shard] {
		return false
	}
	e.joining[shard] = true
	return true
}

func (e *epochs) end(shard int, epoch string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.joining[shard] = false
	if later(epoch, e.joined[shard]) {
		e.joined[shard] = epoch
	}
}

func (e *epochs) shards() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]int, 0, len(e.joined))
	for shard := range e.joined {
		list = append(list, shard)
	}
	return list
}
