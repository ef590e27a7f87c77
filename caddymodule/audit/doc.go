// Package audit finds what is unsafe, or probably not meant, in a running gateway.
package audit
