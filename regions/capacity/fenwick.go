package capacity

// levels counts, for each k, the tenants of one weight that hold at least k places.
// It is a Fenwick tree (P. Fenwick, "A New Data Structure for Cumulative Frequency
// Tables", 1994). With n the most places a tenant ever held, a change and a sum
// take O(log n), and the tree 8 bytes times n.
type levels struct {
	weight  int64
	tenants int // tenants that hold at least one place
	tree    []int64
}

// firstLevels is the initial number of levels; a power of two.
const firstLevels = 64

func newLevels(weight int64) *levels {
	return &levels{weight: weight, tree: make([]int64, firstLevels+1)}
}

// add counts one tenant more (or fewer) that holds at least k places.
func (l *levels) add(k, n int64) {
	for k >= int64(len(l.tree)) {
		l.grow()
	}
	for i := k; i < int64(len(l.tree)); i += i & -i {
		l.tree[i] += n
	}
}

// grow doubles the tree. Its last node is the sum of all that are in it so far.
func (l *levels) grow() {
	size := len(l.tree) - 1
	tree := make([]int64, 2*size+1)
	copy(tree, l.tree)
	tree[2*size] = l.tree[size]
	l.tree = tree
}

// sum returns the places that the tenants hold, counting at most k of each.
func (l *levels) sum(k int64) int64 {
	sum := int64(0)
	for i := min(k, int64(len(l.tree)-1)); i > 0; i -= i & -i {
		sum += l.tree[i]
	}
	return sum
}
