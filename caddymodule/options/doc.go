// Package options reads the options of Caddyfile blocks: the kit that the app,
// the handler and their guest modules share.
//
// A module calls Block with a Table of its options in UnmarshalCaddyfile, and
// the readers of this package for their arguments:
//
//	return options.Block(d, options.Table{
//		"format": func(d *caddyfile.Dispenser) error { return options.OneOf(d, &f.Format, "csv", "jsonl") },
//		"batch":  func(d *caddyfile.Dispenser) error { return options.Number(d, &f.Batch) },
//	})
//
// Every error says what to write instead: unknown options get the nearest name or
// the block that they belong into, wrong arguments an example (Form), arguments
// that an unset environment variable left out its name. ResolveSecret fills
// {env.NAME} into keys and secrets.
//
// The package decides how options are written. Which options a block has, and
// what their values mean, is decided by the module that they belong to.
package options
