// Package tas is the domain that exo and ego side share: the classes of temporal action segmentation, segments of
// frames and spans of site time, the text files that hold them, and the scores that compare a prediction with the truth.
package tas

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLabelBytes bounds a label, so that a video given as a label file is refused at once.
const maxLabelBytes = 1024

// checkLabel says what keeps a name from being a label: it must survive being a line of a text file.
func checkLabel(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the label is empty")
	case len(name) > maxLabelBytes:
		return fmt.Errorf("the label has %d bytes, at most %d are allowed", len(name), maxLabelBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("the label %q is not UTF-8 text", clip(name))
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return fmt.Errorf("the label %q holds a control character", clip(name))
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("the label %q begins or ends with white space", clip(name))
	}
	return nil
}

// clip shortens what an error quotes.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
