package regions

import (
	"slices"
	"testing"
	"time"

	"github.com/edgegate/edgegate/regions/capacity"
	"github.com/edgegate/edgegate/regions/geo"
)

const ms = time.Millisecond

func at(rtt time.Duration) Distance {
	return Distance{RTT: rtt, Base: rtt, Fast: rtt, Measured: true}
}

func backend(state State, d Distance) BackendView { return BackendView{State: state, Distance: d} }

// A region's health is that of its backends, and its distance that of the middle
// one.
func TestVerdictHealth(t *testing.T) {
	up, down, unknown := backend(StateUp, at(10*ms)), backend(StateDown, at(5*ms)), backend(StateUnknown, Distance{})
	slow := backend(StateUp, Distance{RTT: 25 * ms, Base: 10 * ms, Fast: 40 * ms, Measured: true})
	failing := BackendView{State: StateUp, Distance: at(10 * ms), FailureRate: 0.06}
	for _, tc := range []struct {
		name     string
		backends []BackendView
		health   State
		healthy  int
		rtt      time.Duration
	}{
		{"nothing is known", []BackendView{unknown, unknown}, StateUnknown, 2, 70 * ms},
		{"up", []BackendView{up, unknown}, StateUp, 2, 10 * ms},
		{"one of two is down", []BackendView{up, down}, StateUp, 1, 10 * ms},
		{"two of three are down", []BackendView{down, up, down}, StateDown, 1, 10 * ms},
		{"all are down", []BackendView{down}, StateDown, 0, 5 * ms},
		{"slow", []BackendView{slow}, StateDegraded, 1, 25 * ms},
		{"slow by a little of little", []BackendView{backend(StateUp, Distance{RTT: 3 * ms, Base: ms, Fast: 5 * ms, Measured: true})}, StateUp, 1, 3 * ms},
		{"failing now and then", []BackendView{failing}, StateDegraded, 1, 10 * ms},
		{"an outlier of three", []BackendView{up, backend(StateUp, at(90*ms)), backend(StateUp, at(12*ms))}, StateUp, 3, 12 * ms},
		{"an outlier of two", []BackendView{backend(StateUp, at(90*ms)), up}, StateUp, 2, 10 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := region(t, first, "http://a")
			r.Bias = 3 * ms
			got := new(Verdict).Judge(time.Unix(0, 0), RegionInput{
				Region: &r, Backends: tc.backends, Prior: 70 * ms, PriorKnown: true, Load: new(capacity.Load),
			})
			if got.Health != tc.health || got.State != tc.health || got.Healthy != tc.healthy {
				t.Errorf("%s with %d healthy, want %s with %d", got.Health, got.Healthy, tc.health, tc.healthy)
			}
			if got.Distance.RTT != tc.rtt || got.Score != tc.rtt+3*ms || !got.Known {
				t.Errorf("%v away, score %v, want %v", got.Distance.RTT, got.Score, tc.rtt)
			}
			if got.Usable() != (tc.health != StateDown) || got.Reachable() != (tc.healthy > 0) {
				t.Errorf("usable %v, reachable %v", got.Usable(), got.Reachable())
			}
		})
	}
}

// What was down or drained gets its share back within a minute.
func TestVerdictSlowStart(t *testing.T) {
	r := region(t, first, "http://a")
	start := time.Unix(1000, 0)
	var v Verdict
	for _, step := range []struct {
		after time.Duration // start
		state State
		drain Drain
		want  State
		since time.Duration
		share float64
	}{
		{0, StateUnknown, Drain{}, StateUnknown, 0, 1},
		{time.Second, StateUp, Drain{}, StateUp, time.Second, 1},
		{10 * time.Second, StateDown, Drain{}, StateDown, 10 * time.Second, 1},
		{20 * time.Second, StateUp, Drain{}, StateUp, 20 * time.Second, 0.1},
		{50 * time.Second, StateUp, Drain{}, StateUp, 20 * time.Second, 0.5},
		{80 * time.Second, StateUp, Drain{}, StateUp, 20 * time.Second, 1},
		{100 * time.Second, StateUp, Drain{Since: start.Add(90 * time.Second), Over: 20 * time.Second}, StateDraining, 100 * time.Second, 1},
		{110 * time.Second, StateUp, Drain{Since: start.Add(90 * time.Second), Over: 20 * time.Second}, StateDrained, 110 * time.Second, 1},
		{140 * time.Second, StateUp, Drain{
			Since: start.Add(90 * time.Second), Over: 20 * time.Second, Ended: start.Add(125 * time.Second),
		}, StateUp, 140 * time.Second, 0.25},
	} {
		got := v.Judge(start.Add(step.after), RegionInput{
			Region: &r, Backends: []BackendView{backend(step.state, Distance{})}, Drain: step.drain, Load: new(capacity.Load),
		})
		if got.State != step.want || got.Since != start.Add(step.since) || got.SlowStart != step.share {
			t.Errorf("after %v: %s since %v with %v, want %s since %v with %v",
				step.after, got.State, got.Since.Sub(start), got.SlowStart, step.want, step.since, step.share)
		}
		if got.Known {
			t.Errorf("after %v: a distance is known", step.after)
		}
	}
}

// A drain that was taken back leaves the share that was still there.
func TestVerdictKeepsShare(t *testing.T) {
	r := region(t, first, "http://a")
	start := time.Unix(1000, 0)
	up, down := []BackendView{backend(StateUp, Distance{})}, []BackendView{backend(StateDown, Distance{})}
	drain := Drain{Since: start, Over: 5 * time.Minute}
	var v Verdict
	judge := func(after time.Duration, backends []BackendView, d Drain) float64 {
		got := v.Judge(start.Add(after), RegionInput{Region: &r, Backends: backends, Drain: d, Load: new(capacity.Load)})
		return got.SlowStart * (1 - got.Drained)
	}
	judge(0, up, drain)
	if got := judge(15*time.Second, up, drain); got != 0.75 {
		t.Errorf("a quarter of the ramp later: %v", got)
	}
	drain.Ended = start.Add(15 * time.Second)
	for after, want := range map[time.Duration]float64{15 * time.Second: 0.75, 60 * time.Second: 0.75, 75 * time.Second: 1} {
		if got := judge(after, up, drain); got != want {
			t.Errorf("taken back, %v after its beginning: %v, want %v", after, got, want)
		}
	}
	judge(100*time.Second, down, drain)
	if got := judge(110*time.Second, up, drain); got != slowStartLeast {
		t.Errorf("after an outage: %v", got)
	}
}

// Without a place of the gateway, a region that is added is no reason to forget
// the order of the others.
func TestNewViewKeepsOrder(t *testing.T) {
	view := func(name string, d Distance) RegionView {
		r := region(t, name, "http://a")
		return RegionView{Region: &r, Health: StateUnknown, Distance: d, Known: d.Measured, Score: d.RTT}
	}
	var ranker Ranker
	nowhere := Location{Source: LocationUnknown}
	list := []RegionView{view(first, at(90*ms)), view(second, at(3*ms))}
	ranker.NewView(time.Unix(0, 0), list, nowhere)
	v := ranker.NewView(time.Unix(1, 0), append(list, view(third, Distance{})), nowhere)
	if !v.Ranked || !slices.Equal(v.Order, []int{1, 0, 2}) {
		t.Errorf("order %v, ranked %v", v.Order, v.Ranked)
	}
	v = ranker.NewView(time.Unix(2, 0), append(list, view(third, at(20*ms))), nowhere)
	if !v.Ranked || !slices.Equal(v.Order, []int{1, 2, 0}) {
		t.Errorf("measured: order %v, ranked %v", v.Order, v.Ranked)
	}
}

// An order without a place of the gateway waits until all was measured.
func TestNewView(t *testing.T) {
	regionView := func(name string, health State, d Distance, known bool) RegionView {
		r := region(t, name, "http://a")
		return RegionView{Region: &r, Health: health, State: health, Distance: d, Known: known, Score: d.RTT}
	}
	configured := Location{Place: geo.Place{Region: first}, Source: LocationConfigured}
	unknown := Location{Source: LocationUnknown}
	for _, tc := range []struct {
		name     string
		list     []RegionView
		location Location
		order    []int
		ranked   bool
		source   LocationSource
		place    string
	}{
		{
			"nothing is known",
			[]RegionView{regionView(first, StateUnknown, Distance{}, false), regionView(second, StateUnknown, Distance{}, false)},
			unknown,
			[]int{0, 1},
			false, LocationUnknown, "",
		},
		{
			"one is not measured yet",
			[]RegionView{regionView(first, StateUnknown, Distance{}, false), regionView(second, StateUp, at(3*ms), true)},
			unknown,
			[]int{0, 1},
			false, LocationUnknown, "",
		},
		{
			"all are measured",
			[]RegionView{regionView(first, StateUp, at(90*ms), true), regionView(second, StateUp, at(3*ms), true)},
			unknown,
			[]int{1, 0},
			true, LocationInferred, second,
		},
		{
			"but for one that is down",
			[]RegionView{regionView(first, StateDown, Distance{}, false), regionView(second, StateUp, at(3*ms), true)},
			unknown,
			[]int{1, 0},
			true, LocationInferred, second,
		},
		{
			"expected", []RegionView{
				regionView(second, StateUnknown, Distance{RTT: 90 * ms}, true), regionView(first, StateUnknown, Distance{RTT: 3 * ms}, true),
			}, configured, []int{1, 0}, true, LocationConfigured, first,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := new(Ranker).NewView(time.Unix(0, 0), tc.list, tc.location)
			if !slices.Equal(v.Order, tc.order) || v.Ranked != tc.ranked || v.Location.Source != tc.source || v.Location.Place.Region != tc.place {
				t.Errorf("order %v, ranked %v, location %+v", v.Order, v.Ranked, v.Location)
			}
			if i, ok := v.Lookup(second); !ok || v.Regions[i].Region.Name != second {
				t.Errorf("Lookup: %d, %v", i, ok)
			}
			if _, ok := v.Lookup("mars"); ok {
				t.Error("Lookup finds mars")
			}
		})
	}
}
