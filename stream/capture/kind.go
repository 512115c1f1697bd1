package capture

// KindOf tells what a source string means, without opening it; a path that isn't there is an error.
func KindOf(source string) (Kind, error) {
	t, err := parseSource(source)
	return t.kind, err
}
