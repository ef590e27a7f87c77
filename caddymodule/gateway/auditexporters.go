package gateway

import "github.com/edgegate/edgegate/caddymodule/audit"

// auditExporters has the exporters judge themselves.
func (a *App) auditExporters() []audit.Finding {
	var findings []audit.Finding
	for _, exporter := range a.exporters {
		if auditor, ok := exporter.(audit.Auditor); ok {
			findings = append(findings, auditor.Audit()...)
		}
	}
	return findings
}
