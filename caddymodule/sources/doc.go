// Package sources has the modules that projects come from: a JSON file (`projects
// file`) and two hashes in Redis (`projects redis`).
//
// A source decides where projects are read and when they are read again. It does
// not decide whether they are valid: what it reads goes to a gateway.ProjectSink,
// which builds all of them, or keeps those that were in force before. The layout of
// the file and of the hashes is package projects'.
//
// Other sources are Caddy modules in the namespace edge_functions.projects that
// implement gateway.ProjectSource; see the example.
package sources
