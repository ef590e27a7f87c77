package demo

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/caddymodule/supabase"
)

var denoConfigs = []string{"deno.json", "deno.jsonc"}

func isDenoConfig(path string) bool { return slices.Contains(denoConfigs, filepath.Base(path)) }

// flags are those of deno run by which f gets its imports: from import_map of config.toml, else a deno.json or a legacy import_map.json of
// its folder, else one of the folder of all, as in Supabase's command line. Own is the folder of the entry point: Deno finds a deno.json
// there and above by itself.
func (p *project) flags(found *supabase.Project, f supabase.Function, own string) []string {
	if set := f.Config.ImportMap; set != "" {
		path := found.Resolve(set)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			p.outside = append(p.outside, path)
			if isDenoConfig(path) {
				return p.configured(path)
			}
			return []string{"--import-map=" + path}
		}
		p.warn("%s: functions.%s.import_map: there is no file %s; what Deno finds by itself is used", found.Config(), f.Slug, set)
	}
	for _, dir := range []string{f.Dir, p.dir} {
		if name := firstFile(dir, denoConfigs); name != "" {
			found := own == dir || strings.HasPrefix(own, dir+string(filepath.Separator))
			if found && (dir == p.dir || firstFile(p.dir, denoConfigs) == "") {
				return nil
			}
			return p.configured(filepath.Join(dir, name))
		}
		if name := firstFile(dir, []string{"import_map.json"}); name != "" {
			return []string{"--import-map=" + filepath.Join(dir, name)}
		}
	}
	return nil
}

// configured are the flags for the deno.json at path. Where another one lies above it, in the folder of functions, Deno would let that one
// win: then the imports are taken from it alone, and of what else it says there is a warning.
func (p *project) configured(path string) []string {
	above := firstFile(p.dir, denoConfigs)
	if above == "" || filepath.Join(p.dir, above) == path {
		return []string{"--config=" + path}
	}
	imports := path
	var set map[string]json.RawMessage
	if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &set) == nil {
		var legacy string
		if json.Unmarshal(set["importMap"], &legacy) == nil && set["imports"] == nil {
			imports = filepath.Join(filepath.Dir(path), legacy)
		}
		for _, key := range slices.Sorted(maps.Keys(set)) {
			if !slices.Contains([]string{"imports", "scopes", "importMap", "$schema", "name", "version"}, key) {
				p.warn("%s: %s: it has no effect, since %s lies above; move it there", path, key, filepath.Join(p.dir, above))
			}
		}
	}
	return []string{"--no-config", fmt.Sprintf("--import-map=%s", imports)}
}
