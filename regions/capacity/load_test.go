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
