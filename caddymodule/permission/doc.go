// Package permission has the Caddy module by which on-demand TLS obtains certificates
// for the hosts of projects and for no others:
//
//	{
//		on_demand_tls {
//			permission edge_functions
//		}
//	}
//
// The gateway decides which hosts those are (gateway.App.AllowsCertificate); obtaining
// and renewing certificates is Caddy's.
package permission
