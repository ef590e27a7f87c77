package quota

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// errEpochChanged says that the server of a shard was replaced while a holder
// claimed: the new one knows a part of the claims only.
var errEpochChanged = fmt.Errorf("%w: another server took its place", ErrUnavailable)

// noEpoch equals no epoch: Join and Leave refuse it.
const noEpoch = "-"

// settledEpochs has the epoch in which claims were settled, by shard.
type settledEpochs map[int]string

// note adds the epoch of an answer. The error is errEpochChanged if an earlier
// claim on the shard was settled in another epoch.
func (s settledEpochs) note(shard int, epoch string) error {
	if before, ok := s[shard]; ok && before != epoch {
		return errEpochChanged
	}
	s[shard] = epoch
	return nil
}

// epochs has the epochs of one authority that this process has joined, by shard.
type epochs struct {
	mu      sync.Mutex // guards all
	joined  map[int]string
	joining map[int]bool
	seen    map[int]string // the latest epoch in any answer
}

func newEpochs() *epochs {
	return &epochs{
		joined:  make(map[int]string),
		joining: make(map[int]bool),
		seen:    make(map[int]string),
	}
}

// later reports whether an epoch came after another. A server that was replaced
// may go on answering for a while; this process does not go back to it.
func later(epoch, than string) bool { return numberOf(epoch) > numberOf(than) }

// numberOf returns the growing number of an epoch; 0 for "".
func numberOf(epoch string) uint64 {
	text, _, _ := strings.Cut(epoch, ":")
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// in reports whether an epoch is the joined one. It is false for all epochs while
// another is being joined, and once a later one was seen: this process would not
// tell the later one of what the earlier one grants from then on.
func (e *epochs) in(shard int, epoch string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.joined[shard] == epoch && !e.joining[shard] && !later(e.seen[shard], epoch)
}

// changed reports whether an epoch is another one than the joined one, and whether it is
// an earlier one than was seen.
func (e *epochs) changed(shard int, epoch string) (changed, earlier bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	joined := e.joined[shard]
	return joined != "" && epoch != joined, epoch != "" && later(e.seen[shard], epoch)
}

// begin notes an epoch that was seen, and reports whether the caller must join it:
// it is later than the joined one, and no other goroutine is joining. The caller
// calls end afterwards.
func (e *epochs) begin(shard int, epoch string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := epoch
	if epoch == "" { // a server that nobody has claimed from: its epoch will be a later one
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

// end ends what begin began. epoch is the one that was joined, "" after an error.
func (e *epochs) end(shard int, epoch string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.joining[shard] = false
	if later(epoch, e.joined[shard]) {
		e.joined[shard] = epoch
	}
}

// leave notes that this process was taken out of a shard that it had joined.
func (e *epochs) leave(shard int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.joined, shard)
}

// shards returns the shards in which an epoch was joined.
func (e *epochs) shards() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]int, 0, len(e.joined))
	for shard := range e.joined {
		list = append(list, shard)
	}
	return list
}
