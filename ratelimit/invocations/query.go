package invocations

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Query says which invocations are asked for. The zero Query is all of them.
type Query struct {
	Project, Function, Region string        // "": any
	Status                    Statuses      // zero: any, and those that have not ended
	Since, Until              time.Time     // when they were admitted: not before Since, and before Until; zero: any time
	Slow                      time.Duration // the shortest duration; 0: any, and those that have not ended
	Limit                     int           // the most invocations in an answer, the latest ones; required
}

// Statuses are the HTTP statuses from First to Last.
type Statuses struct{ First, Last int }

// ParseStatuses reads a status such as 502, or a class such as 5xx.
func ParseStatuses(text string) (Statuses, error) {
	if class, ok := strings.CutSuffix(strings.ToLower(text), "xx"); ok && len(class) == 1 && class >= "1" && class <= "9" {
		first := int(class[0]-'0') * 100
		return Statuses{first, first + 99}, nil
	}
	status, err := strconv.Atoi(text)
	if err != nil || status < 100 || status > 999 {
		return Statuses{}, fmt.Errorf("status %q: must be a status such as 502, or a class such as 5xx", text)
	}
	return Statuses{status, status}, nil
}

// ended reports whether only invocations that ended are asked for.
func (q *Query) ended() bool { return q.Status != Statuses{} || q.Slow > 0 }

// matches reports whether an ended invocation has a status and a duration that is asked for.
func (q *Query) matches(status int, took time.Duration) bool {
	return (q.Status == Statuses{} || status >= q.Status.First && status <= q.Status.Last) && took >= q.Slow
}

// span returns Since and Until in Unix microseconds.
func (q *Query) span() (since, until int64) {
	since, until = -1<<63, 1<<63-1
	if !q.Since.IsZero() {
		since = q.Since.UnixMicro()
	}
	if !q.Until.IsZero() {
		until = q.Until.UnixMicro()
	}
	return since, until
}

// names tells which numbers in the records of a log are those of names that are asked for.
type names struct {
	query    *Query
	log      *metering.RecordLog
	subjects []answerTo // by number
	regions  []answerTo
}

// answerTo remembers an answer.
type answerTo uint8

const (
	notAsked answerTo = iota
	yes
	no
)

// has reports whether a function in a region is asked for.
func (n *names) has(subject uint32, region uint16) bool {
	if n.query.Project != "" || n.query.Function != "" {
		if !remembered(&n.subjects, int(subject), func() bool {
			s := n.log.Subject(subject)
			return (n.query.Project == "" || s.Project == n.query.Project) && (n.query.Function == "" || s.Function == n.query.Function)
		}) {
			return false
		}
	}
	return n.query.Region == "" || remembered(&n.regions, int(region), func() bool { return n.log.Region(region) == n.query.Region })
}

// mostRemembered bounds the numbers whose answers are remembered: damaged records may
// have any.
const mostRemembered = 1 << 22

func remembered(answers *[]answerTo, number int, ask func() bool) bool {
	if number >= mostRemembered {
		return ask()
	}
	if number >= len(*answers) {
		*answers = append(*answers, make([]answerTo, number+1-len(*answers))...)
	}
	if (*answers)[number] == notAsked {
		(*answers)[number] = no
		if ask() {
			(*answers)[number] = yes
		}
	}
	return (*answers)[number] == yes
}
