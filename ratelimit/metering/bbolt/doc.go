// Package bbolt is the part of go.etcd.io/bbolt that the ledger uses, with checksums:
// a byte that changes on the disk is an error, never another value and never a panic.
//
//   - Each value ends in the CRC-32C of the names of its buckets, its key and itself.
//   - Pages have no checksums in bbolt. They are checked when a file is opened that
//     something else than this package changed: all must be written as bbolt writes
//     them, and each must be in use or free. So no key can be lost unnoticed.
//   - The sequence of a bucket is kept twice.
//   - What bbolt panics at, and accesses beyond the end of a file, become errors.
//
// Errors about a file that is damaged are *durable.DamageError. Files from before there
// were checksums get them when they are opened; older builds cannot read them then.
// [Salvage] copies what is whole in a damaged file.
package bbolt
