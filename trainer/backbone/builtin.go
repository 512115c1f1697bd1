package backbone

import (
	"embed"
	"fmt"
	"io/fs"
)

// files are what `make extractor` writes. extractor.json says how; docs/extractor.md tells what it is worth.
//
//go:embed builtin/extractor.json builtin/extractor.ckpt
var files embed.FS

// Default returns the built-in extractor: 256 features of a 112 by 112 picture, trained on labelled exo frames of the
// simulated cell.
func Default() (*Backbone, error) {
	dir, err := fs.Sub(files, "builtin")
	if err != nil {
		return nil, fmt.Errorf("built-in extractor: %w", err)
	}
	b, err := read(dir)
	if err != nil {
		return nil, fmt.Errorf("built-in extractor: %w", err)
	}
	return b, nil
}
