package agent

import (
	"errors"
	"strings"
)

// errorList is several errors on one line.
type errorList []error

func (l errorList) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As look at each.
func (l errorList) Unwrap() []error { return l }

// join joins errors on one line; nil ones are left out.
func join(errs ...error) error {
	var list errorList
	for _, err := range errs {
		if inner, ok := err.(errorList); ok { //nolint:errorlint // an error that wraps a list is one error
			list = append(list, inner...)
		} else if err != nil {
			list = append(list, err)
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

// without returns what is left of an error when those that are target are taken out.
func without(err, target error) error {
	var list errorList
	inner, ok := err.(errorList) //nolint:errorlint // an error that wraps a list is one error
	if !ok {
		inner = errorList{err}
	}
	for _, e := range inner {
		if e != nil && !errors.Is(e, target) {
			list = append(list, e)
		}
	}
	return join(list...)
}
