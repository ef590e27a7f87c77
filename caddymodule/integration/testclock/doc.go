// Package testclock runs a program of ours at another time than its machine's, and sets its clock while it runs: for tests of
// gateways whose clocks differ.
//
// [Build] compiles the program with a package time whose Now adds what a file says. Its monotonic clock stays, as it does
// when somebody sets the clock of a machine: timers, and differences of two times of one process, are not changed. [Overlay] is
// for tests that are to be compiled with it.
package testclock
