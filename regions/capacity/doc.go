// Package capacity counts what runs in a region and decides whether a call gets
// a place there, fairly among projects (contract 9.6).
//
//	var room capacity.Room
//	room.SetCapacity(100)
//	seat, why := room.Enter(&capacity.Tenant{Project: "a", Share: 80})
//	if why != "" {
//		return why // a Crowding: why there is no place
//	}
//	defer seat.Leave()
//
// It does not wait, and does not know what a call is told when it is refused:
// packages regions and routing do. It imports the standard library only.
package capacity
