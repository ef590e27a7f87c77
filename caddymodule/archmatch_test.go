package caddymodule_test

import (
	"strings"
)

// within tells whether a file or package of ours fits a pattern.
func within(path, pattern string) bool {
	if matches(path, pattern) {
		return true
	}
	slash := strings.LastIndex(path, "/")
	return strings.HasSuffix(path, ".go") && slash >= 0 && matches(path[:slash], pattern)
}

func anyWithin(path string, patterns []string) bool {
	for _, pattern := range patterns {
		if within(path, pattern) {
			return true
		}
	}
	return false
}

// matches compares whole path elements: regions/... is regions and regions/geo, not regionsx.
func matches(path, pattern string) bool {
	base, deep := strings.CutSuffix(pattern, "/...")
	return path == base || deep && strings.HasPrefix(path, base+"/")
}

// related tells whether a package and those that a pattern means may be of one library: they share its first elements.
func related(path, pattern string) bool {
	base := strings.TrimSuffix(pattern, "/...")
	return matches(path, pattern) || matches(path, library(base)+"/...")
}

// library is the first three elements of a path, as most libraries have them.
func library(path string) string {
	parts := strings.SplitN(path, "/", 4)
	return strings.Join(parts[:min(3, len(parts))], "/")
}
