package projects

// Ready reports whether the catalogue knows which projects there are: until the
// first Swap it does not, and that a host is not found says nothing.
func (c *Catalogue) Ready() bool { return c.current.Load() != nil }

// Ready reports true: the project is there from the start.
func (*Single) Ready() bool { return true }
