package routing

import "testing"

// Contract 1.3: path and query come from the target as received.
func TestSplitTarget(t *testing.T) {
	tests := []struct{ name, target, path, query string }{
		{"origin form", "/functions/v1/hello", "/functions/v1/hello", ""},
		{"with a query", "/a?b=c", "/a", "?b=c"},
		{"empty query stays one", "/a?", "/a", "?"},
		{"only the first ? separates", "/a?b?c=/d", "/a", "?b?c=/d"},
		{"nothing is decoded", "/a%3Fb%2f?%zz", "/a%3Fb%2f", "?%zz"},
		{"two slashes are no authority", "//host/x", "//host/x", ""},
		{"a URL in the query", "/a?u=http://b/c", "/a", "?u=http://b/c"},
		{"a URL in the path", "/a/http://b/c", "/a/http://b/c", ""},
		{"absolute form", "http://host:80/a/b?c", "/a/b", "?c"},
		{"absolute form, https", "https://host/", "/", ""},
		{"absolute form without path", "http://host", "/", ""},
		{"absolute form, query only", "http://host?c", "", "?c"},
		{"absolute form, fragment only", "http://host#/functions/v1/hello", "#/functions/v1/hello", ""},
		{"asterisk form", "*", "", ""},
		{"authority form", "host:443", "", ""},
		{"empty", "", "", ""},
		{"a relative path is no scheme", "a/b://c/functions/v1/hello", "", ""},
		{"a query in front is no scheme", "a?b://c/functions/v1/hello", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, query := SplitTarget(tt.target)
			if path != tt.path || query != tt.query {
				t.Errorf("SplitTarget(%q) = %q, %q, want %q, %q", tt.target, path, query, tt.path, tt.query)
			}
		})
	}
}
