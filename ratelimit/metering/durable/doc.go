// Package durable keeps files of the ledger whole: files that are replaced as a whole,
// and files of lines that only grow. It decides what a crash, a full disk or a damaged
// file may leave behind, and how damage is told. It does not know what the files
// contain.
//
//	err := durable.Append(path, 0o600, []byte(`{"file":"a"}`))
//	end, err := durable.ReadLines(path, func(line []byte) error { return json.Unmarshal(line, &into) })
//
// Nothing is destroyed by being read: a file that is damaged is a [DamageError], which names
// the file, the place and what mends it.
package durable
