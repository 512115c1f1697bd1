package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Splits lie in splits/train.splitK.bundle, test.splitK.bundle and, where pairs are other takes than those of train,
// pairs.splitK.bundle: one take a line, with or without the ending .txt of its label file. K names the fold.
const splitsDir = "splits"

var bundleName = regexp.MustCompile(`^(train|test|pairs)\.split([A-Za-z0-9_-]{1,40})\.bundle$`)

// readFolds reads the folds of a data set. there tells whether a take exists, or why not.
func readFolds(root string, there func(take string) error) ([]Fold, error) {
	dir := filepath.Join(root, splitsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err // names the directory
	}
	byName := map[string]*Fold{}
	for _, e := range entries {
		m := bundleName.FindStringSubmatch(e.Name())
		if m == nil {
			if filepath.Ext(e.Name()) == ".bundle" {
				return nil, fmt.Errorf("%s: expected train.splitK.bundle, test.splitK.bundle or pairs.splitK.bundle", filepath.Join(dir, e.Name()))
			}
			continue
		}
		f := byName[m[2]]
		if f == nil {
			f = &Fold{Name: m[2]}
			byName[m[2]] = f
		}
		list, err := readBundle(filepath.Join(dir, e.Name()), there)
		if err != nil {
			return nil, err
		}
		switch m[1] {
		case "train":
			f.Train = list
		case "test":
			f.Test = list
		case "pairs":
			f.Pairs = list
		}
	}
	if len(byName) == 0 {
		return nil, fmt.Errorf("%s holds no splits, expected train.split1.bundle and test.split1.bundle", dir)
	}
	var folds []Fold
	for _, name := range slices.SortedFunc(maps.Keys(byName), compareNatural) {
		f := byName[name]
		missing := ""
		switch {
		case f.Train == nil:
			missing = "train"
		case f.Test == nil:
			missing = "test"
		}
		if missing != "" {
			return nil, fmt.Errorf("%s is missing, fold %s needs it", filepath.Join(dir, missing+".split"+name+".bundle"), name)
		}
		folds = append(folds, *f)
	}
	return folds, nil
}

// readBundle reads a list of takes.
func readBundle(path string, there func(take string) error) ([]string, error) {
	var list []string
	at := map[string]int{}
	err := readLines(path, func(l line) error {
		take := strings.TrimSuffix(l.text, ".txt")
		if before, ok := at[take]; ok {
			return fmt.Errorf("take %s stands at line %d already", take, before)
		}
		if err := there(take); err != nil {
			return err
		}
		at[take] = l.number
		list = append(list, take)
		return nil
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s: %w", path, errors.New("the split is empty, expected one take a line"))
	}
	return list, err
}

// compareNatural orders numbers by value and all else by text.
func compareNatural(a, b string) int {
	x, errA := strconv.Atoi(a)
	y, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return cmp.Or(cmp.Compare(x, y), strings.Compare(a, b))
	}
	return strings.Compare(a, b)
}
