package capacity

import "testing"

func TestLoad(t *testing.T) {
	var l Load
	l.Add(3)
	if _, known := l.Factor(); known || l.InFlight() != 3 {
		t.Error("a load without a capacity")
	}
	l.SetCapacity(12)
	if factor, known := l.Factor(); !known || factor != 0.25 || l.Capacity() != 12 {
		t.Errorf("load %v, %v", factor, known)
	}
	if factor, known := FixedLoad(0.9).Factor(); !known || factor != 0.9 {
		t.Errorf("fixed load %v, %v", factor, known)
	}
}

// An eighth of the capacity may wait, at least 16; what ends without a place is
// counted by its reason.
func TestWaitingAndRefusals(t *testing.T) {
	for _, tc := range []struct{ capacity, waiting int64 }{{0, 16}, {100, 16}, {1000, 125}} {
		room := new(Room)
		room.SetCapacity(tc.capacity)
		for i := range tc.waiting {
			if !room.BeginWait() {
				t.Errorf("capacity %d: call %d may not wait", tc.capacity, i+1)
			}
		}
		if room.BeginWait() {
			t.Errorf("capacity %d: more than %d may wait", tc.capacity, tc.waiting)
		}
		for range tc.waiting + 1 {
			room.EndWait()
		}
		if !room.BeginWait() {
			t.Errorf("capacity %d: nobody waits, and one may not", tc.capacity)
		}
		for i, why := range Crowdings {
			for range i + 1 {
				room.Refuse(why)
			}
		}
		if got := room.Refused(); got != [3]uint64{1, 2, 3} {
			t.Errorf("refused %v", got)
		}
	}
}
