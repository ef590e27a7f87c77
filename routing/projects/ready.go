package projects

// Ready reports whether the catalogue knows which projects there are: until the
// first Swap it does not, and that a host is not found says nothing.
func (c *Catalogue) Ready() bool { return c.current.Load() != nil }

// Many reports whether there is more than one project, of which each may be
// kept from taking what the others need (contract 9.6).
func (c *Catalogue) Many() bool {
	s := c.current.Load()
	return s != nil && s.Len() > 1
}

// Many reports false.
func (*Single) Many() bool { return false }

// Ready reports true: the project is there from the start.
func (*Single) Ready() bool { return true }
