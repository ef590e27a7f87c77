// Package audit finds what is unsafe, or probably not meant, in a running gateway and
// its configuration: `edgegate audit`.
//
// It decides what is a finding, how severe it is, and what is recommended. It
// changes nothing and knows no gateway: what it judges is an [Input], which package
// admin fills in. Guest modules, such as exporters, bring findings of their own: see
// [Auditor].
//
// The name of a check is stable. To add one, append a Finding in the file of its
// subject (config.go, logs.go, literals.go, projects.go, regions.go, ledger.go,
// store.go), and what it reads to the Input.
package audit
